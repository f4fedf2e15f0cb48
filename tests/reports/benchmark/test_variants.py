"""The table of rows."""

from lprnet.reports.benchmark.variants import BASE, COMBINED, ROWS


def test_the_table_of_rows() -> None:
    assert {BASE, COMBINED} < {row.name for row in ROWS}
    assert len({row.name for row in ROWS}) == len({row.flags for row in ROWS}) == len(ROWS)
