"""An artifact that is replaced, overwritten or hard to reach while it is in use."""

import gc
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lprnet.runtime import artifact as module
from lprnet.runtime.artifact import Artifact, manifest_path, read_artifact, write_artifact
from lprnet.runtime.recognizer import Recognizer
from tests.conftest import PROJECT
from tests.runtime.tiny_artifact import IMAGE, artifact

RELOADS = int(os.environ.get("LPRNET_RELOADS", "100"))
"""1,000 in the issue; these take two seconds."""
PHOTO = np.zeros(IMAGE.shape, np.uint8)


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """Two artifacts of one path; nothing is written."""
    path = tmp_path_factory.mktemp("letters") / "lprnet-fp32-native.so"
    return {letter: artifact(letter, path) for letter in "AB"}


def mappings() -> int:
    """Of artifacts, in this process."""
    return Path("/proc/self/maps").read_text().count("memfd:lprnet")


def memory() -> int:
    """Resident, of this process, in KiB."""
    (found,) = re.findall(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found)


def test_a_new_reader_reads_what_lies_there_now(letters: dict[str, Artifact]) -> None:
    """And nothing of those before it is left: no mapping, no descriptor, no memory, no file."""
    path = letters["A"].path
    sizes = []
    for number in range(RELOADS):
        letter = "AB"[number % 2]
        write_artifact(letters[letter])
        assert Recognizer(path).read(PHOTO).text == letter
        if number in (10, RELOADS - 1):
            gc.collect()
            sizes.append((mappings(), len(os.listdir("/proc/self/fd")), memory()))
    (few, open_files, before), (many, open_then, after) = sizes
    assert (many, open_then) == (few, open_files)
    assert after - before < 4096
    assert sorted(path.parent.iterdir()) == sorted([path, manifest_path(path)])


def test_an_old_reader_goes_on_reading_the_old_one(letters: dict[str, Artifact]) -> None:
    path = letters["A"].path
    write_artifact(letters["A"])
    old = Recognizer(path)
    write_artifact(letters["B"])
    assert [Recognizer(path).read(PHOTO).text, old.read(PHOTO).text] == ["B", "A"]


def test_two_of_one_path_that_lie_nowhere(letters: dict[str, Artifact]) -> None:
    """As a build verifies them: the second one is not the first one's code."""
    readers = {letter: Recognizer(one) for letter, one in letters.items()}
    assert {letter: reader.read(PHOTO).text for letter, reader in readers.items()} == {
        "A": "A",
        "B": "B",
    }


def overwrite(path: Path) -> None:
    """As `cp` does it: the same file, empty for a moment."""
    with path.open("r+b") as file:
        size = len(file.read())
        file.truncate(0)
        file.seek(0)
        file.write(bytes(size))


@pytest.mark.parametrize("damage", [overwrite, Path.unlink])
def test_a_reader_outlives_its_file(
    letters: dict[str, Artifact], damage: Callable[[Path], None]
) -> None:
    """In a process of its own, which ended with SIGSEGV or SIGBUS where the file was mapped."""
    path = letters["A"].path
    write_artifact(letters["A"])
    code = """
import sys, numpy as np
from lprnet import Recognizer
photo = np.zeros((2, 5, 3), np.uint8)
reader = Recognizer(sys.argv[1])
print("loaded", flush=True)
input()
print(reader.read(photo).text)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "loaded\n"
        damage(path)
        out, _ = process.communicate("\n", timeout=60)
    assert (process.returncode, out) == (0, "A\n")


def test_what_was_checked_is_what_is_loaded(
    letters: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is exchanged between the two."""
    write_artifact(letters["A"])
    path = letters["A"].path
    monkeypatch.setattr(module, "require_cpu", lambda *_: path.write_bytes(letters["B"].content))
    assert Recognizer(path).read(PHOTO).text == "A"
    assert path.read_bytes() == letters["B"].content


def test_a_file_system_without_execution(letters: dict[str, Artifact], tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-m", "true"], check=False).returncode:
        pytest.skip("this user may not mount")
    source, mounted = tmp_path / "source", tmp_path / "mounted"
    mounted.mkdir()
    one = Artifact(source / "a.so", letters["B"].content, letters["B"].manifest)
    write_artifact(one)
    code = (
        "import sys, numpy as np; from lprnet import Recognizer; "
        "print(Recognizer(sys.argv[1]).read(np.zeros((2, 5, 3), np.uint8)).text)"
    )
    script = 'mount -t tmpfs -o noexec none "$1" && cp "$2"/* "$1" && "$3" -c "$4" "$1/a.so"'
    ran = subprocess.run(
        [unshare, "-m", "sh", "-c", script, "sh", mounted, source, sys.executable, code],
        capture_output=True, text=True, cwd=PROJECT, timeout=60,
    )  # fmt: skip
    if "mount:" in ran.stderr:
        pytest.skip("this user may not mount")
    assert (ran.stdout, ran.stderr) == ("B\n", "")


def test_an_artifact_is_read_as_it_was_written(letters: dict[str, Artifact]) -> None:
    write_artifact(letters["A"])
    assert read_artifact(letters["A"].path) == letters["A"]
