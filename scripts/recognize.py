"""Read the plates on images. Exits with 1 if some of them could not be read, with 2 if none.

The same as `lprnet recognize`.
"""

from lprnet.commands import main

if __name__ == "__main__":
    main("recognize")
