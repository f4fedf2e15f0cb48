"""Compare schedules kernel by kernel: none, automatic, manual, and the faster of the two.

The same as `lprnet compare`.
"""

from lprnet.commands import main

if __name__ == "__main__":
    main("compare")
