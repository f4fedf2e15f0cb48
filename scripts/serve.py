"""Read plates as a service over HTTP, with a page to try it, until SIGTERM or Ctrl-C ends it.

The same as `lprnet serve`.
"""

from lprnet.commands import main

if __name__ == "__main__":
    main("serve")
