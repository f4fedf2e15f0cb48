"""Measure every variant, and with --peers every baseline, on this machine; make a report.

The same as `lprnet report`.
"""

from lprnet.commands import main

if __name__ == "__main__":
    main("report")
