"""Search for schedules of every kernel, on this CPU or over RPC; a killed run can be continued.

The same as `lprnet tune`.
"""

from lprnet.commands import main

if __name__ == "__main__":
    main("tune")
