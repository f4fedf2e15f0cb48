"""The project's C under AddressSanitizer; `python -m tests.fuzz.sanitized.run` does more of it."""

import subprocess
from pathlib import Path

import pytest

from lprnet.runtime.artifact import manifest_path
from tests.examples.echo_artifact import IMAGE, write_echo
from tests.fuzz.sanitized import build
from tests.fuzz.sanitized.run import run_dispatch, run_manifests


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("sanitized")
    if (reason := build.why_not(found)) is not None:
        pytest.skip(reason)
    return found


def test_no_argument_of_an_artifact_is_used_beyond_its_end(folder: Path) -> None:
    """A negative number of images once was: `version` then read and wrote beyond them."""
    said = run_dispatch(build.dispatch_driver(folder), 0, 50_000)
    let_through, refused = (int(part.split()[0]) for part in said.split(", "))
    assert let_through > 10_000
    assert refused > 20_000


def test_the_example_reads_manifests_as_python_does(folder: Path) -> None:
    counts, wrong = run_manifests(build.manifest_driver(folder), 0, 4_000)
    assert wrong == []
    assert counts["C accepts, Python accepts"] > 100
    assert counts["C refuses, Python refuses"] > 500


def test_the_example_reads_and_refuses_without_a_fault(folder: Path, tmp_path: Path) -> None:
    program = build.read_plate(folder)
    echo = write_echo(tmp_path / "echo.so")
    image, short = tmp_path / "image.raw", tmp_path / "short.raw"
    image.write_bytes(bytes(IMAGE.height * IMAGE.width))
    short.write_bytes(b"1")
    assert ran(program, echo.path, image, image, short) == (1, b"\xe4\xba\xac\n" * 2)
    content = manifest_path(echo.path).read_bytes()
    for damaged in (b"", content[:300], content.replace("京".encode(), b"A"), b"[" * 999):
        manifest_path(echo.path).write_bytes(damaged)
        assert ran(program, echo.path, image) == (2, b"")


def ran(program: Path, *arguments: Path) -> tuple[int, bytes]:
    """Exit code and stdout; a sanitizer's report is an exit code of its own."""
    done = subprocess.run([program, *arguments], capture_output=True, timeout=120)
    assert b"Sanitizer" not in done.stderr
    assert b"runtime error" not in done.stderr
    return done.returncode, done.stdout
