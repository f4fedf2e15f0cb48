"""From a model to plates read by its shared object, and everything that can be wrong on the way."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lprnet.compiler import compile as compile_module
from lprnet.compiler.compile import Build, Source, compile_network
from lprnet.compiler.parity import compare_logits
from lprnet.compiler.targets import find_target
from lprnet.compression.compiler_inputs import float_network
from lprnet.model.checkpoint import save_model
from lprnet.model.lprnet import LPRNet
from lprnet.runtime import manifest
from lprnet.runtime.alphabet import CHINA
from lprnet.runtime.artifact import Artifact, manifest_path, read_artifact, write_artifact
from lprnet.runtime.confidence import ConfidenceCalibration
from lprnet.runtime.image_format import PUBLISHED
from lprnet.runtime.manifest import Parity
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from tests.conftest import PROJECT

Images = NDArray[np.uint8]


def random_model(means: tuple[float, ...] | None) -> LPRNet:
    """Random weights, activations of the order of one, and a third of all norms dead."""
    torch.manual_seed(0)
    model = LPRNet(context_means=means).eval()
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
            torch.nn.init.normal_(layer.bias, 0, 0.1)  # type: ignore[arg-type]
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, 0, 0.3)
            layer.weight.data[::3] = 0
    return model


def some_images(count: int) -> Images:
    return np.random.default_rng(count).integers(0, 256, (count, 24, 94, 3), dtype=np.uint8)


def torch_logits(model: LPRNet, images: Images) -> NDArray[np.float64]:
    """By the formula of the preprocessing, in float64."""
    x = torch.from_numpy((images.transpose(0, 3, 1, 2).astype("float64") - 127.5) / 128)
    with torch.no_grad():
        logits: NDArray[np.float64] = model.double()(x).numpy()
    model.float()
    return logits


@dataclass(frozen=True)
class Compiled:
    model: LPRNet
    checkpoint: Path
    built: Build

    @property
    def artifact(self) -> Path:
        return self.built.artifact


def compiled(model: LPRNet, folder: Path) -> Compiled:
    checkpoint = folder / "random.safetensors"
    save_model(model, checkpoint)
    built = compile_network(
        float_network(model),
        [find_target("native")],
        Source(checkpoint, ()),
        some_images(5),
        folder / "lprnet-fp32-native.so",
    )
    return Compiled(model, checkpoint, built)


@pytest.fixture(scope="module")
def constant(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """A random network with constant context means, compiled."""
    return compiled(random_model((0.7, 0.4, 0.9, 0.5)), tmp_path_factory.mktemp("constant"))


@pytest.fixture(scope="module")
def reader(constant: Compiled) -> Recognizer:
    return Recognizer(constant.artifact)


@pytest.fixture
def copied(constant: Compiled, tmp_path: Path) -> Path:
    """The artifact and its manifest, to be damaged."""
    for path in (constant.artifact, manifest_path(constant.artifact)):
        shutil.copy(path, tmp_path)
    return tmp_path / constant.artifact.name


def assert_equals_torch(model: LPRNet, reader: Recognizer) -> None:
    images = some_images(6)
    expected, got = torch_logits(model, images), reader.logits(images)
    assert got.shape == (6, 68, 18)
    assert got.dtype == np.float32
    assert abs(got - expected).max() <= 1e-4 * abs(expected).max()
    assert np.ptp(expected, axis=0).max() > 0.01 * abs(expected).max(), "images must matter"


def test_the_artifact_computes_what_torch_computes(constant: Compiled, reader: Recognizer) -> None:
    assert_equals_torch(constant.model, reader)


def test_so_does_one_with_the_context_norm_of_each_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written before it is verified: a build killed meanwhile leaves no `*.so`."""
    meanwhile = []

    def noted(*arguments: Any) -> Parity:
        meanwhile.append(sorted(path.name for path in tmp_path.iterdir()))
        return compare_logits(*arguments)

    monkeypatch.setattr(compile_module, "compare_logits", noted)
    per_image = compiled(random_model(None), tmp_path)
    assert_equals_torch(per_image.model, Recognizer(per_image.artifact))
    assert per_image.built.manifest.context_means is None
    assert meanwhile == [["random.safetensors"]]


@pytest.mark.parametrize("batch", [1, 2, 63, 64, 65, 130])
def test_an_image_does_not_depend_on_its_neighbours(reader: Recognizer, batch: int) -> None:
    image = some_images(1)
    alone = reader.logits(image)[0]
    for position in {0, batch // 2, batch - 1}:
        crowd = some_images(batch)
        crowd[position] = image[0]
        np.testing.assert_array_equal(reader.logits(crowd)[position], alone)


def test_no_images_give_no_logits(reader: Recognizer) -> None:
    logits = reader.logits(np.empty((0, 24, 94, 3), np.uint8))
    assert logits.shape == (0, 68, 18)
    assert logits.dtype == np.float32
    assert reader.read_many([]) == []


def test_plates_are_read_under_the_grammar_unless_told_otherwise(
    reader: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = np.zeros((1, 68, 18), np.float32)
    logits[0, CHINA.blank] = 10
    for position, character in enumerate("皖A12345O"):
        logits[0, CHINA.index[character], 2 * position] = 20 if character != "O" else 12
    assert [plate.text for (plate,) in reader.plates(logits)] == ["皖A12345"]
    assert [plate.text for plate in reader.plates(logits, 2)[0]][0] == "皖A12345"
    assert [plate.text for (plate,) in reader.plates(logits, grammar=False)] == ["皖A12345O"]
    monkeypatch.setattr(reader, "logits", lambda images: logits)
    assert reader.read(some_images(1)[0]).text == "皖A12345"
    assert reader.read(some_images(1)[0], grammar=False).text == "皖A12345O"


def test_confidences_are_calibrated_as_the_manifest_says(
    constant: Compiled, tmp_path: Path
) -> None:
    whole = read_artifact(constant.artifact)
    calibration = ConfidenceCalibration(2.0, -1.0, "plates", 10, 0.9)
    path = tmp_path / "calibrated.so"
    write_artifact(Artifact(path, whole.content, replace(whole.manifest, confidence=calibration)))
    logits = np.random.default_rng(0).normal(0, 3, (4, 68, 18)).astype(np.float32)
    before, after = (Recognizer(one).plates(logits) for one in (constant.artifact, path))
    for (plain, *_), (calibrated, *_) in zip(before, after, strict=True):
        assert calibrated.text == plain.text
        assert calibrated.characters == plain.characters
        (expected,) = calibration.confidences(np.array([plain.confidence]))
        assert calibrated.confidence == expected


def test_views_of_any_layout_are_read_right(reader: Recognizer) -> None:
    images = some_images(4)
    expected = reader.logits(images)
    shifted = np.empty(images.size + 1, np.uint8)[1:].reshape(images.shape)
    shifted[:] = images
    reversed_twice = images[::-1, :, ::-1][::-1, :, ::-1]
    for view in (shifted, reversed_twice, np.asfortranarray(images), images.tolist()):
        array = np.asarray(view, np.uint8) if isinstance(view, list) else view
        np.testing.assert_array_equal(reader.logits(array), expected)


def test_one_image_takes_few_calls_of_python(reader: Recognizer) -> None:
    """Between two calls of an artifact each of them costs some microsecond, from cold caches more:
    two functions of ours, a buffer taken and given back, one lookup, one copy.
    """
    image = some_images(1)
    reader.logits(image)
    calls: list[str] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event in ("call", "c_call"):
            calls.append(frame.f_code.co_name if event == "call" else repr(argument))

    sys.setprofile(note)
    try:
        reader.logits(image)
    finally:
        sys.setprofile(None)
    calls.pop()  # sys.setprofile
    assert calls[:2] == ["logits", "_logits"]
    assert len(calls) <= 8, calls


def test_a_result_is_not_overwritten_by_the_next_call(reader: Recognizer) -> None:
    first = reader.logits(some_images(2))
    kept = first.copy()
    reader.logits(some_images(3))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("threads", [1, 3])
def test_eight_threads_share_a_recognizer(constant: Compiled, threads: int) -> None:
    reader = Recognizer(constant.artifact, threads=threads)
    batches = [some_images(1 + number % 7) for number in range(48)]
    alone = [Recognizer(constant.artifact).logits(batch) for batch in batches[:7]]
    with ThreadPoolExecutor(8) as pool:
        for number, logits in enumerate(pool.map(reader.logits, batches)):
            np.testing.assert_array_equal(logits, alone[number % 7])


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 24, 94, 3), np.float32),
        np.zeros((24, 94, 3), np.uint8),
        np.zeros((1, 3, 24, 94), np.uint8),
        np.zeros((1, 24, 93, 3), np.uint8),
        np.zeros((1, 24, 94, 3), np.int8),
        [],
        "plate.jpg",
    ],
    ids=["float", "one image", "NCHW", "narrow", "signed", "nothing", "a name"],
)
def test_other_arrays_are_refused(reader: Recognizer, images: Any) -> None:
    with pytest.raises(UserError, match="expected uint8"):
        reader.logits(images)


def test_a_recognizer_needs_a_thread(constant: Compiled) -> None:
    with pytest.raises(UserError, match="at least one"):
        Recognizer(constant.artifact, threads=0)


def cut_short(artifact: Path) -> None:
    artifact.write_bytes(artifact.read_bytes()[:-1000])


def alter_a_byte(artifact: Path) -> None:
    content = bytearray(artifact.read_bytes())
    content[len(content) // 2] ^= 1
    artifact.write_bytes(content)


def empty(artifact: Path) -> None:
    artifact.write_bytes(b"")


def drop_artifact(artifact: Path) -> None:
    artifact.unlink()


def drop_manifest(artifact: Path) -> None:
    manifest_path(artifact).unlink()


def break_manifest(artifact: Path) -> None:
    path = manifest_path(artifact)
    path.write_text(path.read_text()[:-20])


def binary_manifest(artifact: Path) -> None:
    manifest_path(artifact).write_bytes(b"\xff\xfe\x00")


def manifest_of_a_list(artifact: Path) -> None:
    manifest_path(artifact).write_text("[]")


def change(**fields: object) -> Callable[[Path], None]:
    """Other fields, under a digest of them."""

    def damage(artifact: Path) -> None:
        path = manifest_path(artifact)
        content = {**json.loads(path.read_text()), **fields}
        del content["digest"]
        path.write_text(json.dumps({**content, "digest": manifest._digest(content)}))

    return damage


def need_another_cpu(artifact: Path) -> None:
    """Each of its versions, an instruction set that no CPU has."""
    versions = json.loads(manifest_path(artifact).read_text())["target_versions"]
    change(target_versions=[{**one, "cpu_flags": ["avx2", "amx_int512"]} for one in versions])(
        artifact
    )


DAMAGES = {
    "cut short": (cut_short, "cut short or altered"),
    "one bit altered": (alter_a_byte, "cut short or altered"),
    "empty": (empty, "cut short or altered"),
    "no artifact": (drop_artifact, "no such artifact"),
    "no manifest": (drop_manifest, "manifest beside the artifact is missing"),
    "manifest cut short": (break_manifest, "not a manifest"),
    "manifest of bytes": (binary_manifest, "not a manifest"),
    "manifest of a list": (manifest_of_a_list, "not a manifest"),
    "another format": (change(format=99), "another version"),
    "a field of another type": (change(macs="many"), "damaged .macs is no int."),
    "another CPU": (need_another_cpu, "amx_int512"),
}
damages = pytest.mark.parametrize(("damage", "complaint"), DAMAGES.values(), ids=DAMAGES)


@damages
def test_a_damaged_artifact_is_named_in_one_sentence(
    copied: Path, damage: Callable[[Path], None], complaint: str
) -> None:
    read_artifact(copied)
    damage(copied)
    with pytest.raises(UserError, match=complaint) as caught:
        Recognizer(copied)
    message = str(caught.value)
    assert copied.stem in message
    assert "\n" not in message
    assert message.endswith(".")


def run_script(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, PROJECT / "scripts" / name, *arguments], capture_output=True, text=True
    )


@pytest.mark.parametrize("name", ["cut short", "no manifest", "another CPU"])
def test_scripts_exit_with_2_and_that_sentence(copied: Path, tmp_path: Path, name: str) -> None:
    damage, complaint = DAMAGES[name]
    damage(copied)
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"")
    ran = run_script("recognize.py", photo, "--artifact", copied)
    assert ran.returncode == 2
    assert ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    assert line.startswith("error: ")
    assert complaint in line


def test_the_manifest_tells_what_the_artifact_is(constant: Compiled) -> None:
    found = read_artifact(constant.artifact).manifest
    assert found == constant.built.manifest
    assert found.artifact_sha256 != found.checkpoint_sha256
    assert found.checkpoint == "random.safetensors"
    assert found.context_means == (0.7, 0.4, 0.9, 0.5)
    (code,) = found.target_versions
    assert code.parity is not None
    assert code.parity.images == code.parity.same_plates == 5
    assert found.alphabet == CHINA
    assert found.image == PUBLISHED
    assert {kernel.origin for kernel in code.kernels} == {"manual"}
    assert sum(kernel.macs > 0 for kernel in code.kernels) >= 10
    assert code.passes[0] == "CanonicalizeExport"
    assert set(found.built_with) == {"lprnet-tvm", "apache-tvm", "apache-tvm-ffi"}


def test_nothing_else_is_left_beside_an_artifact(constant: Compiled) -> None:
    names = {path.name for path in constant.artifact.parent.iterdir()}
    assert names == {"random.safetensors", "lprnet-fp32-native.so", "lprnet-fp32-native.json"}


def test_the_artifact_needs_nothing_of_tvms_runtime(constant: Compiled) -> None:
    """Undefined are functions of libtvm_ffi, libc and libm; needed libraries none but those."""
    listed = subprocess.run(
        ["nm", "-D", "--undefined-only", constant.artifact],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    undefined = {line.split()[-1].split("@")[0] for line in listed.splitlines()}
    weak = {"__cxa_finalize", "__gmon_start__"} | {s for s in undefined if s.startswith("_ITM_")}
    allowed = re.compile(r"TVMFFI\w+|mem(cpy|set|move)|\w*mathf?|f(max|min)f|nearbyintf|rintf")
    assert {symbol for symbol in undefined - weak if not allowed.fullmatch(symbol)} == set()
    dynamic = subprocess.run(
        ["readelf", "-d", constant.artifact], capture_output=True, text=True, check=True
    ).stdout
    needed = set(re.findall(r"NEEDED.*\[(.+)\]", dynamic))
    assert all(re.match(r"lib(tvm_ffi|c|m)\.so", library) for library in needed)


def python(code: str, *arguments: str | Path) -> str:
    """What a fresh interpreter prints."""
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


HEAVY = "sorted({'tvm', 'torch', 'cv2', 'onnx', 'matplotlib'} & set(sys.modules))"


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert python(f"import sys, lprnet; print({HEAVY}, 'numpy' in sys.modules)") == "[] False\n"


def test_an_artifact_runs_where_neither_tvm_nor_torch_is_loaded(
    constant: Compiled, reader: Recognizer, tmp_path: Path
) -> None:
    images = some_images(3)
    np.save(tmp_path / "images.npy", images)
    code = f"""
import sys
import numpy as np
from lprnet import Recognizer
images = np.load(sys.argv[1])
np.save(sys.argv[2], Recognizer(sys.argv[3]).logits(images))
print({HEAVY})
"""
    out = tmp_path / "logits.npy"
    assert python(code, tmp_path / "images.npy", out, constant.artifact) == "[]\n"
    np.testing.assert_array_equal(np.load(out), reader.logits(images))


@pytest.fixture
def refused(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nothing can be created, also by root."""
    blocker = tmp_path / "file"
    blocker.write_text("")
    yield blocker / "build"
    assert blocker.read_text() == ""
    assert list(tmp_path.iterdir()) == [blocker]


def test_an_unwritable_output_is_named_and_nothing_is_left(
    constant: Compiled, refused: Path
) -> None:
    with pytest.raises(UserError, match="cannot be written") as caught:
        compile_network(
            float_network(constant.model),
            [find_target("native")],
            Source(constant.checkpoint, ()),
            some_images(1),
            refused / "lprnet-fp32-native.so",
        )
    assert str(refused) in str(caught.value)
