"""The example in C prints what Python prints, and says in one sentence what it cannot use."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lprnet.compiler.targets import TARGETS
from lprnet.compiler.toolchain import run_compiler
from lprnet.runtime import manifest as manifest_module
from lprnet.runtime.artifact import Artifact, manifest_path, write_artifact
from lprnet.runtime.cpu import cpu_flags
from lprnet.runtime.recognizer import Recognizer
from tests.examples.echo_artifact import IMAGE, write_echo
from tests.json_edits import REMOVED, edit

MISSING = [target for target in TARGETS if not cpu_flags().issuperset(target.flags)]


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return write_echo(tmp_path_factory.mktemp("linked") / "echo.so")


@pytest.fixture
def echo(linked: Artifact, tmp_path: Path) -> Artifact:
    """A copy that a test may damage."""
    copy = linked._replace(file=tmp_path / "echo.so")
    write_artifact(copy)
    return copy


def ran(program: Path, *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    done = subprocess.run([program, *arguments], capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode("utf-8", "replace")


def refused(program: Path, *arguments: str | Path) -> str:
    """The one sentence of a program that reads nothing."""
    code, printed, said = ran(program, *arguments)
    assert (code, printed) == (2, "")
    assert said.startswith("error: ")
    assert said.endswith(".\n")
    assert said.count("\n") == 1
    return said


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.raw"
    path.write_bytes(bytes(IMAGE.height * IMAGE.width))
    return path


def test_it_prints_what_python_prints(read_plate: Path, echo: Artifact, tmp_path: Path) -> None:
    """Few values, so many logits are equal and many positions repeat a class."""
    pixels = np.random.default_rng(1).integers(0, 4, (300, *IMAGE.shape), dtype=np.uint8)
    paths = [tmp_path / f"{number:03}.raw" for number in range(len(pixels))]
    for path, one in zip(paths, pixels, strict=True):
        path.write_bytes(one.tobytes())
    code, printed, said = ran(read_plate, echo.path, *paths)
    assert (code, said) == (0, "")
    plates = Recognizer(echo.path).read_many(list(pixels), grammar=False)
    assert len({plate.text for plate in plates}) > 100
    assert printed.splitlines() == [plate.text for plate in plates]


def test_one_bad_image_stops_nothing(
    read_plate: Path, echo: Artifact, image: Path, tmp_path: Path
) -> None:
    long = tmp_path / "long\n.raw"
    long.write_bytes(bytes(IMAGE.height * IMAGE.width + 1))
    code, printed, said = ran(read_plate, echo.path, long, image, tmp_path, "gone.raw")
    assert (code, printed) == (1, "京\n")
    first, second, third = said.splitlines()
    assert first.endswith("long?.raw: an image has 49 bytes; give the 48 of 8x6 pixels with 1 "
                          "channels.")  # fmt: skip
    assert "Is a directory" in second
    assert third == "error: gone.raw: cannot be read (No such file or directory)."
    refused(read_plate, echo.path, long)


def test_the_code_for_this_cpu_runs(read_plate: Path, image: Path, tmp_path: Path) -> None:
    if not MISSING:
        pytest.skip("this CPU runs every target's code")
    both = write_echo(tmp_path / "both.so", ("broadwell", MISSING[-1].name))
    assert ran(read_plate, both.path, image)[:2] == (0, "京\n")
    other = write_echo(tmp_path / "other.so", (MISSING[-1].name,))
    assert "This CPU cannot run the artifact" in refused(read_plate, other.path, image)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("alphabet", "symbols"), ["A", "-", "京", "\\n", '"', "😀ñ", "é"]),
        (("alphabet", "symbols"), ["A", "\x00"]),
        (("alphabet", "symbols", 0), 1),
        (("alphabet", "symbols", 0), "A"),
        (("alphabet", "symbols", 0), ""),
        (("alphabet", "blank"), 99),
        (("alphabet", "blank"), -1),
        (("alphabet", "grammar"), REMOVED),
        (("alphabet",), None),
        (("image", "height"), 7),
        (("image", "height"), 10**30),
        (("image", "width"), 8.5),
        (("image", "channels"), 0),
        (("target_versions",), []),
        (("target_versions", 0), []),
        (("target_versions", 0, "arena_bytes"), 60),
        (("target_versions", 0, "arena_bytes"), 1 << 33),
        (("target_versions", 0, "logits_shape"), [1, 6]),
        (("target_versions", 0, "logits_shape"), [1, 600, 8]),
        (("target_versions", 0, "logits_shape"), [1, 6, 3]),
        (("target_versions", 0, "cpu_flags"), []),
        (("artifact_sha256",), "0" * 64),
        (("artifact_sha256",), "0"),
        (("format",), 3),
        (("format",), "4"),
    ],
)
@pytest.mark.parametrize("signed", [False, True])
def test_an_edited_manifest_is_refused(
    read_plate: Path, echo: Artifact, image: Path, place: Any, value: Any, signed: bool
) -> None:
    path = manifest_path(echo.path)
    content = json.loads(path.read_bytes())
    edit(content, place, value)
    if signed:
        del content["digest"]
        content["digest"] = manifest_module._digest(content)
    path.write_text(json.dumps(content))
    assert "lprnet build." in refused(read_plate, echo.path, image)


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b'{"format": 4}', b"[" * 100_000, b"\xff", b'"', b"{" * 99, b'{"a":1,}'],
)
def test_what_is_no_manifest_is_refused(
    read_plate: Path, echo: Artifact, image: Path, content: bytes
) -> None:
    manifest_path(echo.path).write_bytes(content)
    refused(read_plate, echo.path, image)


def test_a_manifest_with_a_key_twice_is_refused(
    read_plate: Path, echo: Artifact, image: Path
) -> None:
    """Readers of JSON differ in which of the two they take."""
    path = manifest_path(echo.path)
    path.write_bytes(path.read_bytes().replace(b'"macs": 1', b'"macs": 1, "macs": 1'))
    refused(read_plate, echo.path, image)


def test_a_manifest_in_another_layout_is_read(
    read_plate: Path, echo: Artifact, image: Path
) -> None:
    path = manifest_path(echo.path)
    content = json.loads(path.read_bytes())
    content = dict(reversed(content.items()))
    path.write_text("\n " + json.dumps(content, indent=7) + "\r\n\t")
    assert ran(read_plate, echo.path, image)[:2] == (0, "京\n")


def test_what_is_no_artifact_is_refused(
    read_plate: Path, echo: Artifact, image: Path, tmp_path: Path
) -> None:
    content = echo.path.read_bytes()
    for other in (b"", content[:-1], content[:2000], content[:999] + b"\xaa" + content[1000:]):
        echo.path.write_bytes(other)
        assert "is not the file its manifest describes" in refused(read_plate, echo.path, image)
    echo.path.unlink()
    assert "No such file" in refused(read_plate, echo.path, image)
    names: list[str | Path] = [tmp_path, tmp_path / "gone.so", image, "/bin/sh", "x.so", ""]
    for name in names:
        refused(read_plate, name, image)


@pytest.mark.parametrize("library", [False, True])
def test_another_file_with_a_manifest_that_fits_is_refused(
    read_plate: Path, echo: Artifact, image: Path, tmp_path: Path, library: bool
) -> None:
    """Its digest is right, so it is loaded; but it says nothing of a contract."""
    content = b"\x7fELF"
    if library:
        run_compiler(["-shared", "-x", "c", "/dev/null", "-o", "empty"], tmp_path)
        content = (tmp_path / "empty").read_bytes()
    echo.path.write_bytes(content)
    path = manifest_path(echo.path)
    described = json.loads(path.read_bytes())
    described["artifact_sha256"] = hashlib.sha256(content).hexdigest()
    del described["digest"]
    described["digest"] = manifest_module._digest(described)
    path.write_text(json.dumps(described))
    refused(read_plate, echo.path, image)


def test_it_says_how_it_is_called(read_plate: Path) -> None:
    code, printed, said = ran(read_plate)
    assert (code, printed) == (2, "")
    assert said == "usage: read_plate ARTIFACT.so IMAGE...\n"


def test_a_stdout_that_takes_nothing_is_an_error(
    read_plate: Path, echo: Artifact, image: Path
) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [read_plate, echo.path, image], stdout=full, stderr=subprocess.PIPE, timeout=60
        )
    assert done.returncode == 2
    assert done.stderr == b"error: stdout cannot be written; choose another place.\n"
