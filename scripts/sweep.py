"""Find how narrow a checkpoint's layers can be: prune to several budgets, build, read, time.

The same as `lprnet sweep`.
"""

from lprnet.commands import main

if __name__ == "__main__":
    main("sweep")
