"""The public checkpoint, compiled, on all 1000 real images at batch 1."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lprnet.compiler.compile import Build, Source, compile_network
from lprnet.compiler.targets import find_target
from lprnet.compression.calibration import calibrate, calibration_files, read_images
from lprnet.compression.compiler_inputs import float_network
from lprnet.model.checkpoint import load_model
from lprnet.model.preprocessing import normalise
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.runtime.decode import greedy
from lprnet.runtime.image_paths import list_images
from lprnet.runtime.recognizer import Recognizer
from tests.conftest import RealData
from tests.prepared import prepared
from tests.shared_results import SharedResults


@dataclass(frozen=True)
class Plates:
    built: Build
    labels: list[str]
    compiled: list[str]
    torch: list[str]


@pytest.fixture(scope="module")
def plates(real_data: RealData, tmp_path_factory: pytest.TempPathFactory) -> Plates:
    """What the artifact and torch read with the same calibrated constants."""
    with subnormals_as_zero():
        calibration = calibration_files(real_data.images)
        images = read_images(calibration)
        model = calibrate(load_model(real_data.checkpoint), images)
        built = compile_network(
            float_network(model),
            [find_target("native")],
            Source(real_data.checkpoint, tuple(file.name for file in calibration)),
            images[:10],
            tmp_path_factory.mktemp("public") / "lprnet-fp32-native.so",
        )
        paths = list_images([str(real_data.images)])
        pixels = read_images(paths)
        reader = Recognizer(built.artifact)
        logits = np.concatenate([reader.logits(image[None]) for image in pixels])
        return Plates(
            built,
            [path.stem for path in paths],
            [plate.text for plate in greedy(logits)],
            [plate.text for plate in greedy(in_batches(model, pixels))],
        )


def in_batches(model: torch.nn.Module, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Torch's logits, 50 images at a time."""
    x = torch.from_numpy(normalise(pixels))
    with torch.inference_mode():
        logits = [model(x[start : start + 50]) for start in range(0, len(x), 50)]
    joined: NDArray[np.float32] = torch.cat(logits).numpy()
    return joined


def test_at_least_898_of_1000_are_read_exactly(plates: Plates) -> None:
    correct = sum(a == b for a, b in zip(plates.compiled, plates.labels, strict=True))
    assert len(plates.labels) == 1000
    assert correct >= 898


def test_every_plate_is_torchs(plates: Plates) -> None:
    assert plates.compiled == plates.torch


def test_the_artifact_is_small_and_so_is_its_work(plates: Plates) -> None:
    assert plates.built.manifest.macs <= 67_000_000
    assert plates.built.artifact.stat().st_size <= 600 * 1024
    assert len(plates.built.manifest.calibration) <= 100


@subnormals_as_zero()
def test_bf16_reads_as_float_does(
    plates: Plates, real_data: RealData, shared_results: SharedResults
) -> None:
    """By PyTorch's computation, which its kernels equal up to roundings (`test_bfloat16.py`)."""
    network, *_ = shared_results.call(prepared, real_data.checkpoint, real_data.images, "bf16")
    pixels = read_images(list_images([str(real_data.images)]))
    read = [plate.text for plate in greedy(network.expected(pixels))]
    assert sum(a == b for a, b in zip(read, plates.compiled, strict=True)) >= 995
    assert sum(a == b for a, b in zip(read, plates.labels, strict=True)) >= 898


@subnormals_as_zero()
def test_static_int8_reads_as_float_does(
    plates: Plates, real_data: RealData, shared_results: SharedResults
) -> None:
    """By the integers' specification, which an artifact equals (`test_real_integers.py`)."""
    network, *_ = shared_results.call(prepared, real_data.checkpoint, real_data.images, "static")
    pixels = read_images(list_images([str(real_data.images)]))
    read = [plate.text for some in np.split(pixels, 20) for plate in greedy(network.expected(some))]
    assert sum(a == b for a, b in zip(read, plates.compiled, strict=True)) >= 990
    assert sum(a == b for a, b in zip(read, plates.labels, strict=True)) >= 899
