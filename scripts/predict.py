"""Estimate the speed on other Xeons with llvm-mca: a JSON record and a table of it.

The same as `lprnet predict`.
"""

from lprnet.commands import main

if __name__ == "__main__":
    main("predict")
