"""What a command says without doing anything: help with defaults, the version, and how soon."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lprnet
from lprnet.commands.dispatch import VERBS, execute, verb_parser
from lprnet.support.errors import UserError
from tests.conftest import PROJECT

HEAVY = ("tvm", "torch", "matplotlib", "numpy", "cv2", "rich", "tqdm", "onnx")


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lprnet.commands", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", [(), *((verb,) for verb in VERBS)])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """Seen in `sys.modules`, not on a clock."""
    code = (
        "import atexit, sys\n"
        f"heavy = {HEAVY!r}\n"
        "atexit.register(lambda: print('loaded', [n for n in heavy if n in sys.modules]))\n"
        f"sys.argv = ['lprnet', *{arguments!r}, '--help']\n"
        "from lprnet.commands import main\n"
        "main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "loaded []"
    assert "usage: lprnet" in result.stdout


def options_of(verb: str) -> list[argparse.Action]:
    return [one for one in verb_parser(verb, verb)._actions if one.option_strings]


@pytest.mark.parametrize("verb", VERBS)
def test_every_flag_says_what_it_does_and_what_is_taken_without_it(verb: str) -> None:
    shown = verb_parser(verb, verb).format_help()
    for option in options_of(verb):
        assert option.help, option.option_strings
        if option.nargs != 0:
            (_, text) = re.split(rf"\n  {option.option_strings[-1]}\b", shown, maxsplit=1)
            text = re.split(r"\n  -", text)[0]
            assert re.search(r"\(default|\(required\)|default\)", text), (option, text)


@pytest.mark.parametrize("verb", VERBS)
def test_a_default_that_is_shown_is_the_default(verb: str) -> None:
    help_text = " ".join(verb_parser(verb, verb).format_help().split())
    for option in options_of(verb):
        if isinstance(option.default, int | float | str) and option.nargs != 0:
            assert f"(default: {option.default})" in help_text, option


def test_version() -> None:
    assert command("--version").stdout == f"lprnet {lprnet.__version__}\n"
    assert command("recognize", "--version").stdout == f"lprnet {lprnet.__version__}\n"


def test_a_wrong_verb_is_one_sentence() -> None:
    result = command("biuld")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "'biuld'" in result.stderr
    assert "'build'" in result.stderr
    result = command()
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)


SCRIPTS = sorted(set(VERBS) - {"inspect"})
"""A script of that name would hide Python's own module from the other scripts."""


@pytest.mark.parametrize("verb", SCRIPTS)
def test_each_script_is_a_caller_of_its_verb(verb: str) -> None:
    script = PROJECT / "scripts" / f"{verb}.py"
    result = subprocess.run(
        [sys.executable, script, "--help"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    expected = verb_parser(verb, f"{verb}.py").format_help()
    assert result.stdout.split() == expected.split()
    assert sorted(path.stem for path in script.parent.glob("*.py")) == SCRIPTS


def test_a_package_that_is_not_installed_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine that has the runtime alone."""
    monkeypatch.setitem(sys.modules, "lprnet.build", None)
    with pytest.raises(ModuleNotFoundError):  # one of ours: a defect
        execute(["build", f"--output={tmp_path}"])
    monkeypatch.undo()
    for loaded in [name for name in sys.modules if name.startswith("lprnet.measure")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    (tmp_path / "a.so").touch()
    with pytest.raises(UserError, match=r"needs tqdm, .*lprnet-tvm\[compiler\]"):
        execute(["evaluate", str(tmp_path / "a.so"), f"--data={tmp_path}"])
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(UserError, match=r"needs fastapi, .*lprnet-tvm\[serve\]"):
        execute(["serve", f"--artifact={tmp_path / 'a.so'}"])


def test_no_sentence_names_a_file_that_an_installation_lacks() -> None:
    """`scripts/` is not in the wheel; its verbs are."""
    for package in ("lprnet", "relay_passes", "schedules"):
        for path in sorted((PROJECT / package).rglob("*.py")):
            if path.parent.name != "commands":
                assert "scripts/" not in path.read_text(encoding="utf-8"), path
