"""Measure every variant, and with --peers every rival, on this machine: table, pictures, page.

The same as `lprnet report`.
"""

from lprnet.commands import main

if __name__ == "__main__":
    main("report")
