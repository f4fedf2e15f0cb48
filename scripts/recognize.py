"""Read the plates on images. Exits with 1 if some were not read or are rejected, 2 if none was.

The same as `lprnet recognize`.
"""

from lprnet.commands import main

if __name__ == "__main__":
    main("recognize")
