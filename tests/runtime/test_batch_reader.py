"""Batches of files: every form of output, bad files among good ones, exit codes."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lprnet.runtime import batch_reader, progress_line
from lprnet.runtime.alphabet import BLANK, CHINA, INDEX
from lprnet.runtime.batch_reader import default_artifact, recognize
from lprnet.runtime.decode import read_texts
from lprnet.runtime.image_format import PUBLISHED
from lprnet.runtime.image_io import resize
from lprnet.runtime.two_rows import one_row
from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError
from tests.conftest import PROJECT


def network(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Reads 皖A12345 with a doubtful last character."""
    logits = np.zeros((len(images), 68, 18), np.float32)
    logits[:, BLANK] = 20
    for position, character in enumerate("皖A12345"):
        logits[:, INDEX[character], 2 * position] = 40
    logits[:, INDEX["6"], 12] = 39
    return logits


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a good image, a truncated one and, by name, an artifact."""
    png = cv2.imencode(".png", np.zeros((24, 94, 3), np.uint8))[1].tobytes()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "好.png").write_bytes(png)
    (tmp_path / "photos" / "bad.png").write_bytes(png[:-20])
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "lprnet-fp32-native.so").touch()
    monkeypatch.chdir(tmp_path)
    reader = SimpleNamespace(
        logits=lambda images: network(images),
        manifest=SimpleNamespace(image=PUBLISHED, alphabet=CHINA),
        texts=lambda logits, top, grammar: read_texts(logits, top, bool(grammar)),
    )
    monkeypatch.setattr(batch_reader, "Recognizer", lambda path: reader)
    return tmp_path


def test_text(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recognize(["photos"]) == 1
    output, errors = capsys.readouterr()
    (line,) = output.splitlines()
    file, text, confidence, characters = line.split("\t")
    assert (file, text) == ("photos/好.png", "皖A12345")
    assert float(confidence) == pytest.approx(np.e / (np.e + 1), abs=2e-3)
    assert characters.split()[0] == "皖:1.000"
    assert characters.split()[-1] == "5:0.731"
    assert errors.splitlines() == [
        "artifact: build/lprnet-fp32-native.so",
        "error: the image file photos/bad.png is truncated; copy it again or leave it out",
    ]


def test_csv_with_alternatives(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recognize(["photos/好.png"], form="csv", top=2) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["rank"], row["text"]) for row in rows] == [("1", "皖A12345"), ("2", "皖A12346")]
    assert [len(row["character_confidences"].split()) for row in rows] == [7, 7]
    assert float(rows[0]["confidence"]) > float(rows[1]["confidence"]) > 0.2


def test_json_is_one_object(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recognize(["photos"], form="json") == 1
    content = json.loads(capsys.readouterr().out)
    assert content["grammar"] is True
    assert content["artifact"] == "build/lprnet-fp32-native.so"
    bad, good = content["images"]
    assert (bad["file"], bad["plates"]) == ("photos/bad.png", [])
    assert "truncated" in bad["error"]
    assert good["error"] is None
    (plate,) = good["plates"]
    assert plate["text"] == "皖A12345"
    assert [character["text"] for character in plate["characters"]] == list("皖A12345")


def test_any_text_without_the_grammar(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = network

    def with_an_o(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits = plain(images)
        logits[:, INDEX["O"], 16] = 21
        return logits

    monkeypatch.setattr(sys.modules[__name__], "network", with_an_o)
    texts = {}
    for grammar in (None, False):
        recognize(["photos/好.png"], form="json", grammar=grammar)
        content = json.loads(capsys.readouterr().out)
        texts[content["grammar"]] = content["images"][0]["plates"][0]["text"]
    assert texts == {True: "皖A12345", False: "皖A12345O"}


def test_a_doubtful_plate_is_rejected(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The network above is sure of its plate by e / (e + 1), 0.73."""
    assert recognize(["photos/好.png"], min_confidence=0.72) == 0
    assert "rejected" not in capsys.readouterr().out
    assert recognize(["photos/好.png"], min_confidence=0.74) == 1
    assert capsys.readouterr().out.endswith("\trejected\n")
    assert recognize(["photos/好.png"], form="csv", min_confidence=0.74) == 1
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["rejected"] == "true"
    assert float(row["lowest_character_confidence"]) == pytest.approx(0.731, abs=1e-3)
    assert recognize(["photos"], form="json", min_confidence=0.74) == 1
    bad, good = json.loads(capsys.readouterr().out)["images"]
    assert (bad["rejected"], good["rejected"]) == (False, True)
    assert good["plates"][0]["text"] == "皖A12345"


@pytest.mark.parametrize("rows", ["1", "2", "auto"])
def test_plates_of_two_rows(
    rows: str, directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tall = np.random.default_rng(0).integers(0, 256, (60, 120, 3), dtype=np.uint8)
    (directory / "tall.png").write_bytes(cv2.imencode(".png", tall)[1].tobytes())
    seen, plain = [], network

    def noted(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(images.copy())
        return plain(images)

    monkeypatch.setattr(sys.modules[__name__], "network", noted)
    assert recognize(["tall.png"], rows=rows) == 0
    expected = resize(tall if rows == "1" else one_row(tall))
    np.testing.assert_array_equal(seen[0][0], expected)


def test_nothing_read(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recognize(["photos/bad.png", "absent.jpg"]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.count("error:") == 2


def test_user_errors(directory: Path) -> None:
    with pytest.raises(UserError, match="--top 0"):
        recognize(["photos"], top=0)
    with pytest.raises(UserError, match="holds no JPEG"):
        recognize(["build"])
    with pytest.raises(UserError, match="--max-pixels 0"):
        recognize(["photos"], max_pixels=0)
    with pytest.raises(UserError, match="--min-confidence 2"):
        recognize(["photos"], min_confidence=2)


def test_files_left_out_are_named_at_the_end(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (directory / "photos" / "notes.txt").touch()
    (directory / "photos" / "._好.png").touch()
    assert recognize(["photos"]) == 1
    assert "were left out: notes.txt" in capsys.readouterr().err.splitlines()[-1]


def test_max_pixels(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recognize(["photos/好.png"], max_pixels=24 * 94 - 1) == 2
    assert "has 94x24 pixels" in capsys.readouterr().err
    assert recognize(["photos/好.png"], max_pixels=24 * 94) == 0


def test_many_files_come_in_their_order(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than three chunks, every seventh file bad, threads finishing in any order."""
    good, bad = ((directory / "photos" / name).read_bytes() for name in ("好.png", "bad.png"))
    names = [f"{number:03}.png" for number in range(100)]
    for number, name in enumerate(names):
        (directory / name).write_bytes(bad if number % 7 == 0 else good)
    monkeypatch.setattr(progress_line, "PROGRESS_SECONDS", -1.0)
    assert recognize(names, form="csv") == 1
    output, errors = capsys.readouterr()
    read = [row["file"] for row in csv.DictReader(io.StringIO(output))]
    assert read == [name for number, name in enumerate(names) if number % 7]
    failed = [line.split()[4] for line in errors.splitlines() if line.startswith("error:")]
    assert failed == names[::7]
    assert "100 images in" in errors.splitlines()[-1]


@pytest.mark.parametrize(("form", "printed"), [("text", 85), ("csv", 85), ("json", 0)])
def test_progress_leaves_nothing_between_results_on_a_terminal(
    form: str, printed: int, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """stdout and stderr are one terminal, as a user has them."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    good, bad = ((directory / "photos" / name).read_bytes() for name in ("好.png", "bad.png"))
    names = [f"{number:03}.png" for number in range(100)]
    for number, name in enumerate(names):
        (directory / name).write_bytes(bad if number % 7 == 0 else good)
    monkeypatch.setattr(progress_line, "PROGRESS_SECONDS", -1.0)
    monkeypatch.setattr(progress_line, "REFRESH_SECONDS", -1.0)
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr("sys.stderr", terminal)
    recognize(names, form=form)
    sent = terminal.getvalue()
    assert "100 of 100 images" in sent
    lines = [line.split("\r")[-1].removeprefix("\x1b[K") for line in sent.split("\n")]
    results = [line for line in lines if line[:3].isdigit() and ".png" in line]
    assert len(results) == printed
    assert not any(" of 100 images" in line or "\x1b" in line for line in lines)


def test_default_artifact(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no artifact in .*lprnet build"):
        default_artifact(tmp_path)
    with atomic_write(tmp_path / "half.so") as partial:  # as a killed build leaves it
        partial.touch()
        with pytest.raises(UserError, match="no artifact in"):
            default_artifact(tmp_path)
    (tmp_path / "half.so").unlink()
    for age, name in enumerate(("b.so", "a.so", "lprnet-int8-broadwell.so")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert default_artifact(tmp_path).name == "b.so"
    (tmp_path / "lprnet-int8-native.so").touch()
    os.utime(tmp_path / "lprnet-int8-native.so", (1, 1))
    assert default_artifact(tmp_path).name == "lprnet-int8-native.so"


def script(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, PROJECT / "scripts" / "recognize.py", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        check=False,
    )


def test_script_without_an_artifact(directory: Path) -> None:
    (directory / "build" / "lprnet-fp32-native.so").unlink()
    result = script(directory, "photos")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "lprnet build" in result.stderr


def test_script_with_a_file_that_is_no_artifact(directory: Path) -> None:
    result = script(directory, "photos")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "manifest" in result.stderr
    artifact = directory / "build" / "lprnet-fp32-native.so"
    artifact.rename(artifact.with_name("LPRNET-FP32-NATIVE.SO"))
    result = script(directory, "photos", "--artifact", "photos/bad.png")
    assert result.returncode == 2
    assert "photos/bad.png is no artifact" in result.stderr
    result = script(directory, "photos", "--artifact", "build/LPRNET-FP32-NATIVE.SO")
    assert "manifest" in result.stderr


def test_deployment_needs_neither_torch_nor_tvm_nor_tqdm() -> None:
    code = (
        "import sys; import lprnet.runtime.batch_reader, lprnet.runtime.recognizer; "
        "print({'torch', 'tvm', 'tqdm', 'safetensors', 'matplotlib', 'rich'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert result.stdout == b"set()\n"


def test_boxes_are_plates_of_their_own(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boxes = directory / "boxes.csv"
    boxes.write_text(
        "file,x1,y1,x2,y2\nphotos/好.png,0,0,94,24\nphotos/好.png,200,0,300,9\n"
        "photos/bad.png,0,0,9,9\n",
        "utf-8",
    )
    assert recognize([], form="csv", boxes=boxes) == 1
    output, errors = capsys.readouterr()
    (row,) = csv.DictReader(io.StringIO(output))
    assert (row["file"], row["text"], row["box"]) == (
        "photos/好.png",
        "皖A12345",
        "0.0 0.0 94.0 24.0",
    )
    assert "a box in the image file photos/好.png holds no pixel" in errors
    assert "photos/bad.png is truncated" in errors
    assert recognize([], form="json", boxes=boxes) == 1
    images = json.loads(capsys.readouterr().out)["images"]
    assert [image["box"][0] for image in images] == [0, 200, 0]
    assert recognize([], boxes=boxes) == 1
    assert capsys.readouterr().out.startswith("photos/好.png[0.0 0.0 94.0 24.0]\t皖A12345\t")
