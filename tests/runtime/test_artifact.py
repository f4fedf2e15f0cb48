"""Artifacts that the CPU, another artifact or a signal stands in the way of."""

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lprnet.compiler.targets import find_target
from lprnet.runtime.artifact import read_artifact, write_artifact
from lprnet.runtime.cpu import cpu_flags
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from tests.conftest import PROJECT
from tests.runtime.tiny_artifact import IMAGE, artifact

NEWER = ("avx512_fp16", "amx_int8", "amx_bf16", "avx_vnni")


def test_a_cpu_that_cpuid_and_linux_describe_differently(tmp_path: Path) -> None:
    """Linux lists all that the manifest asks for, and `cpuid` denies what the code needs."""
    missing = [flag for flag in NEWER if flag not in cpu_flags()]
    if not missing:
        pytest.skip("this CPU has every instruction that could be missing")
    native = find_target("native")
    target = dataclasses.replace(native, flags=(*native.flags, missing[0]))
    one = artifact("A", tmp_path / "a.so", target)
    with pytest.raises(UserError, match="This CPU cannot run the artifact, which needs") as caught:
        Recognizer(one)
    assert str(caught.value).startswith(f"{one.path}: ")
    assert str(caught.value).count(". ") == 0
    write_artifact(one)
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros(IMAGE.shape, np.uint8))
    script, photo = PROJECT / "scripts" / "recognize.py", tmp_path / "photo.png"
    ran = subprocess.run(
        [sys.executable, script, photo, "--artifact", one.path],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"error: {caught.value}\n"


def test_two_artifacts_whose_functions_all_can_see(tmp_path: Path) -> None:
    """As a C program may open them, with RTLD_GLOBAL: each one runs its own network."""
    for letter in "AB":
        (tmp_path / f"{letter}.so").write_bytes(artifact(letter, tmp_path / "any.so").content)
    code = """
import ctypes, sys
import numpy as np
from lprnet.runtime import shared_object
shared_object._libtvm_ffi()
for path in sys.argv[1:]:
    library = ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
    logits = np.zeros((1, 1, 4, 8), np.float32)
    images, arena = np.zeros((1, 2, 5, 3), np.uint8), np.zeros(32, np.float32)
    arguments = shared_object.Arguments(images, logits, arena)
    run = library.__tvm_ffi_run
    run.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p)
    print(run(*arguments.values), int(logits[0, 0, 0].argmax()))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "A.so", tmp_path / "B.so"],
        capture_output=True, text=True, cwd=PROJECT, timeout=120,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "0 0\n0 1\n"


@pytest.mark.parametrize("artifact", [None, 7, b"a.so", ["a.so"]])
def test_what_is_no_path_is_no_artifact(artifact: object) -> None:
    with pytest.raises(UserError, match=r"an artifact is the path of a \.so, not \w+\.$"):
        Recognizer(artifact)  # type: ignore[arg-type]


def test_what_are_no_images(tmp_path: Path) -> None:
    reader = Recognizer(artifact("A", tmp_path / "a.so"))
    image = np.zeros(IMAGE.shape, np.uint8)
    for one in ("photo.jpg", b"photo", Path("photo.jpg"), None, 7, image):
        with pytest.raises(UserError, match="read_many takes a list of images"):
            reader.read_many(one)  # type: ignore[arg-type]
    pair = [image, image]
    groups: list[Any] = [pair, tuple(pair), iter(pair), np.stack(pair)]
    for several in groups:
        assert [plate.text for plate in reader.read_many(several)] == ["A", "A"]
    with pytest.raises(UserError, match="images have no common shape"):
        reader.logits([[1], [2, 3]])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_between_the_two_files_comes_after_both(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.so"
    write_artifact(artifact("A", path))
    new, renamed = artifact("B", path), list[Path]()

    def interrupted(_: int, frame: object) -> None:
        raise KeyboardInterrupt

    def replace(partial: Path, target: Path, whole: Any = Path.replace) -> None:
        whole(partial, target)
        renamed.append(target)
        signal.raise_signal(number)

    monkeypatch.setattr(Path, "replace", replace)
    before = signal.signal(number, interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            write_artifact(new)
    finally:
        signal.signal(number, before)
    assert len(renamed) == 2
    assert read_artifact(path).content == new.content
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.json", "a.so"]


@pytest.mark.parametrize("name", ["a.so", "a.json"])
def test_a_folder_of_that_name_leaves_neither_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=rf"{name}: cannot be written \(it is a folder\)"):
        write_artifact(artifact("A", tmp_path / "a.so"))
    assert [one.name for one in tmp_path.iterdir()] == [name]
