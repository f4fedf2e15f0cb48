"""Train LPRNet on rendered plates and, with --data, on labelled images of your own.

The same as `lprnet train`.
"""

from lprnet.commands import main

if __name__ == "__main__":
    main("train")
