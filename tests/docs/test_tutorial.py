"""The tutorial's code runs, computes the convolution, and leads to the loops on the page."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def tutorial() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tutorial", DOCS / "tutorial.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tutorial"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_page_shows_what_its_code_does(tutorial: ModuleType) -> None:
    """`run_page` compares each step with NumPy; loops of another schedule are not those shown."""
    page = tutorial.PAGE.read_text("utf-8")
    steps = tutorial.run_page(page)
    assert len(steps) == 6
    assert tutorial.fill_in(page, steps, None) == page


def test_wrong_step_is_noticed(tutorial: ModuleType) -> None:
    page = tutorial.PAGE.read_text("utf-8")
    wrong = page.replace(
        "data[h + k, w, c] * weight[o, c, k, 0]", "data[h, w, c] * weight[o, c, k, 0]"
    )
    assert wrong != page
    with pytest.raises(AssertionError, match="0 plain loops: off by"):
        tutorial.run_page(wrong)


def test_every_step_has_one_speed(tutorial: ModuleType) -> None:
    """The speed under a step is the one in the table at the end."""
    page = tutorial.PAGE.read_text("utf-8")
    shown = dict(re.findall(r"<!-- step (.*?) -->\n\*\*(.*?) GFLOP/s\*\*", page))
    table = dict(re.findall(r"^\| (\d .*?) \| (\S+) \|", page, re.MULTILINE))
    assert shown == table
    assert len(shown) == 6
