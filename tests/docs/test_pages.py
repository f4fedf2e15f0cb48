"""What the pages name is there: files, commands, and their options."""

import re
import shlex
from argparse import Action
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from lprnet.commands.dispatch import VERBS, verb_parser

PROJECT = Path(__file__).parents[2]
# Not CHANGELOG.md: it also names what is gone.
PAGES = tuple(
    PROJECT / name
    for name in (
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "lprnet/weights/MODEL_CARD.md",
    )
) + tuple(sorted((PROJECT / "docs").glob("**/*.md")))
FOLDERS = ("lprnet", "relay_passes", "schedules", "scripts", "tests", "docs", "tuning_logs") + (
    "examples",
    ".ci",
)

_PATH = re.compile(rf"(?<![\w/.-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./*-]*")
_FILE_NAME = re.compile(r"[\w.]*\w\.(?:py|c|md|toml|txt)")
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
_BLOCK = re.compile(r"^```.*?^```$|^(?: {4}[^\n]*\n)+", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
PLACEHOLDER = "FILE"
_SAID_TO_BE_MISSING = re.compile(r"\S+: holds no tuning log")
"""A report's reason why a row is not there."""
PIP = {"--extra-index-url"}
"""Options of pip that a page mentions."""


def missing_files(text: str, folder: Path) -> list[str]:
    """The files that the page `text` in `folder` names or links to and that are not there."""
    missing = []
    for found in _PATH.findall(_SAID_TO_BE_MISSING.sub("", text)):
        path = found.rstrip(".")
        if PLACEHOLDER not in path and not list(PROJECT.glob(path)):
            missing.append(path)
    names = tracked_names()
    missing += [span for span in spans(text) if _FILE_NAME.fullmatch(span) and span not in names]
    for target in _LINK.findall(text):
        if "://" not in target and not (folder / target).exists():
            missing.append(target)
    return missing


@cache
def tracked_names() -> frozenset[str]:
    """The names of the files in the project's own folders and beside them."""
    inside = (path for folder in FOLDERS for path in (PROJECT / folder).rglob("*"))
    return frozenset(path.name for path in (*inside, *PROJECT.iterdir()))


def spans(text: str) -> list[str]:
    """The inline code of a page, white space made one blank."""
    return [" ".join(span.split()) for span in _SPAN.findall(_BLOCK.sub("\n", text))]


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """The verb and the arguments of each of our commands in blocks and inline code."""
    blocks = "\n".join(_BLOCK.findall(text)).replace("\\\n", " ")
    for line in (*blocks.splitlines(), *spans(text)):
        for part in re.split(r"&&|[|>]", line):
            if re.search(r"\blprnet [a-z]|\bscripts/\w+\.py\b", part):
                yield from _command(shlex.split(part, comments=True))


def _command(words: list[str]) -> Iterator[tuple[str, list[str]]]:
    for place, word in enumerate(words):
        script = re.fullmatch(r"scripts/(\w+)\.py", word)
        if script:
            yield script[1], words[place + 1 :]
        elif word == "lprnet" and words[:place] in ([], ["$"]) and place + 1 < len(words):
            yield words[place + 1], words[place + 2 :]


def options(verb: str) -> dict[str, Action]:
    """The options of `verb`, by their names."""
    return dict(verb_parser(verb, verb)._option_string_actions)


def mistakes(text: str) -> list[str]:
    """What our commands on the page `text` say that their parsers do not know."""
    wrong = []
    for verb, arguments in commands(text):
        if verb not in VERBS:
            wrong.append(verb)
            continue
        known = options(verb)
        for place, argument in enumerate(arguments):
            name, joined, value = argument.partition("=")
            if not name.startswith("--"):
                continue
            if name not in known:
                wrong.append(f"{verb} {name}")
                continue
            if not joined and known[name].nargs is None:
                value = "".join(arguments[place + 1 : place + 2])
            choices = known[name].choices
            if choices and value and value != value.upper() and value not in choices:
                wrong.append(f"{verb} {name} {value}")
    every = set().union(*map(options, VERBS)) | PIP
    alone = (span.split()[0].partition("=")[0] for span in spans(text) if span.startswith("--"))
    return wrong + [name for name in alone if name not in every]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_page_names_what_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    assert missing_files(text, page.parent) == []
    assert mistakes(text) == []


def test_the_site_leads_to_every_page() -> None:
    site = (PROJECT / "zensical.toml").read_text("utf-8")
    assert [
        path.name for path in (PROJECT / "docs").glob("*.md") if f'"{path.name}"' not in site
    ] == []


def test_readme_is_one_page() -> None:
    assert len((PROJECT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_readme_shows_the_verbs_of_every_day() -> None:
    text = (PROJECT / "README.md").read_text("utf-8")
    shown = {verb for verb, _ in commands(text)}
    assert {"build", "recognize", "evaluate", "report"} <= shown


def test_wrong_pages_are_noticed() -> None:
    page = """A page about `lost.py`, `build.py` and lprnet/nowhere/x.py; [more](gone.md).

    python scripts/build.py --quantized --fast \\
        --target pentium --pruned=all && python scripts/fly.py
    lprnet tune --trials 9 --target NAME --no-such

`lprnet bake` and `--nothing`, but `--grammar` and `lprnet/build.py`.
"""
    assert missing_files(page, PROJECT) == [
        "lprnet/nowhere/x.py",
        "scripts/fly.py",
        "lost.py",
        "gone.md",
    ]
    assert mistakes(page) == [
        "build --fast",
        "build --target pentium",
        "build --pruned all",
        "fly",
        "tune --no-such",
        "bake",
        "--nothing",
    ]
