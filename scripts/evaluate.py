"""Count the images that an artifact or a checkpoint reads exactly as they are named.

The same as `lprnet evaluate`.
"""

from lprnet.commands import main

if __name__ == "__main__":
    main("evaluate")
