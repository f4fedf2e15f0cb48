"""Linking with whatever compiler and temporary folder a user has, or one sentence."""

import shutil
import tempfile
from pathlib import Path

import pytest

from lprnet.compiler.aot_function import Program
from lprnet.compiler.link import link
from lprnet.support.errors import UserError
from tests.compiler.test_dispatch import FLOATS, IMAGE, LOGITS, TARGET, first_pixels


def linked(path: Path) -> bytes:
    function = first_pixels.with_attr("global_symbol", TARGET.function)
    path.write_bytes(link({TARGET: Program(function, 4 * FLOATS, IMAGE, LOGITS)}, b"weights"))
    return path.read_bytes()


@pytest.mark.parametrize(
    "name", ["a,b", 'a"b', "a\\b", "a\\", "a b", "a'b", "a;$(b)#", "-Wl", "a\nb", "@a", "牌"]
)
def test_any_temporary_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = linked(tmp_path / "usual.so")
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert linked(tmp_path / "unusual.so") == usual
    assert linked(folder / "artifact.so") == usual


@pytest.mark.parametrize("flags", ["-m64", "  -O2 '-DA=b c'"])
def test_a_compiler_with_flags(flags: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", f"{shutil.which('gcc') or shutil.which('clang')} {flags}")
    assert linked(tmp_path / "artifact.so").startswith(b"\x7fELF")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("nosuchcc", "The C compiler nosuchcc cannot be started (No such file or directory)"),
        ("nosuchcache gcc", "The C compiler nosuchcache gcc cannot be started"),
        ("/", "The C compiler / cannot be started (Permission denied)"),
        ("false", "The C compiler false fails with exit code 1 (no message)"),
        ("gcc -nosuchflag", "The C compiler gcc -nosuchflag fails with exit code 1 ("),
        ("gcc 'a", 'CC is "gcc \'a", which is no command (No closing quotation)'),
    ],
)
def test_a_compiler_that_does_not_work_is_one_sentence(
    command: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", command)
    with pytest.raises(UserError) as caught:
        linked(tmp_path / "artifact.so")
    assert str(caught.value).startswith(sentence)
    assert str(caught.value).endswith("; install gcc or clang, or name one in CC.")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_no_missing_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text(
        "#!/bin/sh\n"
        "echo 'collect2: error: ld returned 1 exit status: No space left on device' >&2\nexit 1\n"
    )
    compiler.chmod(0o700)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.raises(UserError, match=r"No space left on device\); make room in .* in TMPDIR\.$"):
        linked(tmp_path / "artifact.so")


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="No C compiler found; install gcc or clang"):
        linked(tmp_path / "artifact.so")
