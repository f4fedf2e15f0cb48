"""`lprnet report` of two rows of the table, as a program: all of them take a quarter of an hour."""

import sys
from functools import partial

from lprnet.commands.dispatch import execute
from lprnet.reports.benchmark import run
from lprnet.reports.benchmark.row_builds import build_rows
from lprnet.reports.benchmark.variants import ROWS
from lprnet.support import cli

if __name__ == "__main__":
    vars(run)["build_rows"] = partial(build_rows, rows=ROWS[:2])
    cli.run(partial(execute, sys.argv[1:], None))
