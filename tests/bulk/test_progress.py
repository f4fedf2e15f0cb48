"""The line of progress: on a terminal only, with the time that is left."""

import io

import pytest

from lprnet.bulk import progress
from lprnet.bulk.plan import Extent
from lprnet.bulk.progress import Progress
from lprnet.runtime.progress_line import ERASE_LINE


def test_the_line_says_what_is_left() -> None:
    line = Progress(Extent(10, 100_000), 5)  # half was there before
    line.add(20_000)
    line.end_shard()
    assert line.line(10.0) == "20,000 plates, 2,000 a second, 1 of 5 shards, 0:00:15 left"
    unknown = Progress(Extent(10, None), 10)
    unknown.add(500)
    assert unknown.line(1.0) == "500 plates, 500 a second, 0 of 10 shards"
    unknown.end_shard(500)
    assert unknown.line(2.0) == "1,000 plates, 500 a second, 1 of 10 shards, 0:00:18 left"


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_is_shown_where_stderr_is_no_terminal(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    stream = Stream()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(progress, "FIRST_SECONDS", -1.0)
    monkeypatch.setattr(progress, "REFRESH_SECONDS", -1.0)
    line = Progress(Extent(10, 1000), 10)
    line.add(10)
    assert "10 plates in" in line.end()
    assert ("of 10 shards" in stream.getvalue()) is terminal
    assert stream.getvalue().endswith(ERASE_LINE) is terminal
