"""Read millions of plates into shards of Parquet, CSV or JSON lines.

The same as `lprnet bulk`.
"""

from lprnet.commands import main

if __name__ == "__main__":
    main("bulk")
