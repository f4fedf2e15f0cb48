"""Tables on narrow terminals and in pipes."""

import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.table import Table

from lprnet.commands.tables import rendered

ESCAPES = re.compile("\x1b\\[[0-9;]*m")
NAMES = ("backbone.11.block.6", "conv2d_24x94x64_3x1_relu_quantize_to_uint8_add_bias_second")


def kernels() -> Table:
    table = Table("kernel", "best µs", "GFLOP/s", "MMAC", "trials", "tile", title="t" * 150)
    for name in NAMES:
        table.add_row(name, "123.4", "100", "12.34", "1234", "6 pixels x 2 vectors of 16 channels")
    return table


@pytest.mark.parametrize("width", range(60, 201, 10))
def test_a_terminal_has_whole_names_or_leaves_out_columns_and_says_so(width: int) -> None:
    text = ESCAPES.sub("", rendered(kernels(), width))
    title, *lines = text.splitlines()
    assert title == "t" * 150
    assert "…" not in text
    body = "\n".join(line for line in lines if "left out" not in line)
    assert all(len(line) <= width for line in body.splitlines())
    assert NAMES[0] in body
    if width >= 80:
        assert NAMES[1] in body
        assert "123.4" in body
    for column in ("kernel", "best µs", "GFLOP/s", "MMAC", "trials", "tile"):
        note = [line for line in lines if "left out" in line]
        assert (column in body) != (bool(note) and column in note[0]), (width, column)


def test_a_pipe_has_no_width() -> None:
    """`grep latency` finds the number on the same line."""
    facts = Table(title="build/[red]a.so", show_header=False)
    facts.add_row("latency of icelake-server code, one thread", "0.123 ms min, " * 20)
    text = rendered(facts, None)
    (line,) = [line for line in text.splitlines() if "latency" in line]
    assert line.count("0.123") == 20
    assert text.startswith("build/[red]a.so\n")
    text = rendered(kernels(), None)
    assert "left out" not in text
    assert all(
        any(name in line and "6 pixels" in line for line in text.splitlines()) for name in NAMES
    )


@settings(max_examples=60)
@given(
    cells=st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z"))),
            min_size=3,
            max_size=3,
        ),
        max_size=4,
    ),
    width=st.integers(20, 200),
)
def test_any_text_is_shown_as_it_is(cells: list[list[str]], width: int) -> None:
    """Square brackets and colons are not rich's markup, and nothing raises."""
    table = Table("a", "b", "c")
    for row in cells:
        table.add_row(*row)
    text = rendered(table, None)
    assert all(cell in text for row in cells for cell in row)
    wide = Table("a", "b", "c")
    for row in cells:
        wide.add_row(*row)
    assert "…" in "".join(map("".join, cells)) or "…" not in rendered(wide, width)


PRINT = """
from rich.table import Table
from lprnet.commands.tables import print_tables
from lprnet.support.cli import run
table = Table("kernel", "tile")
for number in range(20_000):
    table.add_row(f"kernel {number}", "x")
run(lambda: print_tables([table]))
"""


def test_a_reader_that_leaves_early_is_no_error() -> None:
    """rich alone ends such a process with exit code 1."""
    with subprocess.Popen(
        [sys.executable, "-c", PRINT], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141
