"""Pictures are PNGs made from a report only, and the page needs no other file."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from lprnet.reports.benchmark.html import page
from lprnet.reports.benchmark.plots import draw_all, pareto, write_pareto
from tests.reports.benchmark.reports import line, report


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    return draw_all(report())


def test_every_picture_is_large_enough_to_be_halved(pictures: dict[str, bytes]) -> None:
    assert set(pictures) == {"pareto.png", "roofline.png", "kernels.png", "plates.png"}
    for content in pictures.values():
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert image.shape[1] >= 1200


@pytest.mark.parametrize(
    ("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.PDF", b"%PDF")]
)
def test_the_ending_of_a_file_names_its_format(name: str, start: bytes, tmp_path: Path) -> None:
    write_pareto(report(), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_the_same_report_gives_the_same_files(pictures: dict[str, bytes]) -> None:
    assert draw_all(report()) == pictures


def test_a_report_with_one_line_can_be_drawn() -> None:
    made = report()
    assert draw_all(replace(made, lines=made.lines[:1], sample_texts=("",), proportion=None))


def test_colour_is_never_the_only_mark() -> None:
    graphs = ("original", "reduced", "quantized", "pruned", "pruned, quantized")
    baselines = (line("baseline", 2.0, ours=False, graph=graph) for graph in graphs)
    made = report()
    series = pareto(replace(made, lines=(*made.lines[:2], *baselines))).axes[0].collections
    assert (
        len({np.asarray(one.get_paths()[0].vertices).tobytes() for one in series})
        == len(series)
        == 6
    )


class Checker(HTMLParser):
    """Collects what a page refers to and how its elements nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.rows = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        self.rows += tag == "tr"
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_nests() -> None:
    checker = Checker()
    text = page(report())
    checker.feed(text)
    assert checker.open == []
    assert checker.rows == 1 + len(report().lines)
    assert len(checker.sources) == 4
    assert all(source.startswith("data:image/png;base64,") for source in checker.sources)
    assert "pruned | &lt;I&gt;" in text
    assert not re.search(r"https?://", text)
