"""Fit how sure an artifact's plates are, check it on others, and write it into the artifact.

The same as `lprnet calibrate`.
"""

from lprnet.commands import main

if __name__ == "__main__":
    main("calibrate")
