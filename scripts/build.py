"""Build an artifact: a checkpoint becomes one small shared object, verified and timed.

The same as `lprnet build`.
"""

from lprnet.commands import main

if __name__ == "__main__":
    main("build")
