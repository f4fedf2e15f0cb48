"""The baselines: the networks of `GRAPHS` as ONNX, in float32 and int8, and what runs each."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lprnet.compiler.onnx_file import quantized_to_onnx, reduced_to_onnx
from lprnet.compression.calibration import calibrate
from lprnet.compression.compiler_inputs import static_network
from lprnet.compression.reduced import reduce
from lprnet.model.checkpoint import load_china
from lprnet.model.lprnet import LPRNet
from lprnet.model.onnx_export import to_onnx
from lprnet.reports.benchmark.engines import Entry
from lprnet.reports.benchmark.quantizers import quantize_with_nncf, quantize_with_onnxruntime
from lprnet.support.errors import UserError
from schedules.isa import Isa

IMAGES = ("numpy", "opencv-python-headless")
"""What reads a picture for every engine: each row's installed size is that of a plate reader."""
OURS, TORCH = ("apache-tvm-ffi", *IMAGES), ("torch", *IMAGES)
ONNXRUNTIME, OPENVINO = ("onnxruntime", *IMAGES), ("openvino", *IMAGES)


@dataclass(frozen=True)
class PrunedFiles:
    """What `lprnet build --onnx` wrote beside our structured rows."""

    float32: Path
    integers: Path


def baselines(
    checkpoint: Path,
    images: NDArray[np.uint8],
    isa: Isa,
    folder: Path,
    pruned: PrunedFiles | None,
) -> list[Entry]:
    """All baselines, their files written to `folder`; without those of `pruned` if it is None.

    `images` are `(N, 24, 94, 3)` uint8 BGR to calibrate on. Raises `UserError` for a bad
    checkpoint, or if a baseline is not installed.
    """
    try:
        import nncf  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{error.name} is not installed; pip install -e '.[peers]' or leave out --peers"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    model = load_china(checkpoint)
    original, reduced = folder / "original.onnx", folder / "reduced.onnx"
    to_onnx(model, original, batch=None)
    calibrated = calibrate(model, images)
    reduced_to_onnx(reduce(calibrated).module, reduced)

    found = [
        *torch_baselines(checkpoint, "original"),
        Entry(
            "torch eager, subnormals kept", "torch, subnormals kept", checkpoint, "original", TORCH
        ),
        *float_baselines(original, "original"),
        *int8_baselines(original, "original", images, isa),
        *torch_baselines(reduced, "reduced"),
        *float_baselines(reduced, "reduced"),
        *int8_baselines(reduced, "reduced", images, isa),
        *quantized_baselines(calibrated, images, folder / "quantized.onnx"),
    ]
    if pruned is not None:
        found += float_baselines(pruned.float32, "pruned")
        found.append(nncf_baseline(pruned.float32, "pruned", images, folder / "pruned-nncf.xml"))
        found += integer_baselines(pruned.integers, "pruned, quantized")
    return found


def torch_baselines(weights: Path, graph: str) -> list[Entry]:
    """PyTorch, eager and compiled, of a checkpoint or of a reduced graph in ONNX."""
    return [
        Entry("torch eager", "torch", weights, graph, TORCH),
        Entry("torch.compile", "torch.compile", weights, graph, TORCH),
    ]


def float_baselines(file: Path, graph: str) -> list[Entry]:
    """The baselines that run the float32 network in the ONNX file `file`."""
    return [
        Entry("ONNX Runtime fp32", "onnxruntime", file, graph, ONNXRUNTIME),
        Entry("OpenVINO fp32", "openvino", file, graph, OPENVINO),
        Entry("OpenVINO defaults", "openvino, defaults", file, graph, OPENVINO),
    ]


def int8_baselines(file: Path, graph: str, images: NDArray[np.uint8], isa: Isa) -> list[Entry]:
    """The network of `file` quantized by ONNX Runtime and by NNCF, the results beside it."""
    int8 = file.with_name(f"{file.stem}-int8.onnx")
    quantize_with_onnxruntime(file, int8, images, isa, float_tail=graph == "reduced")
    nncf = nncf_baseline(file, graph, images, file.with_name(f"{file.stem}-nncf.xml"))
    return [Entry("ONNX Runtime int8", "onnxruntime", int8, graph, ONNXRUNTIME), nncf]


def nncf_baseline(file: Path, graph: str, images: NDArray[np.uint8], int8: Path) -> Entry:
    """The network of `file` quantized by NNCF, written to `int8`."""
    quantize_with_nncf(file, int8, images)
    return Entry("OpenVINO NNCF int8", "openvino", int8, graph, OPENVINO)


def quantized_baselines(calibrated: LPRNet, images: NDArray[np.uint8], file: Path) -> list[Entry]:
    """The baselines that run our quantized network, written to `file` as QDQ ONNX."""
    quantized_to_onnx(static_network(reduce(calibrated), images), file)
    return integer_baselines(file, "quantized")


def integer_baselines(file: Path, graph: str) -> list[Entry]:
    """The baselines that run a quantized network of ours in QDQ form."""
    return [
        Entry("ONNX Runtime int8", "onnxruntime, pixels", file, graph, ONNXRUNTIME),
        Entry("OpenVINO int8", "openvino, pixels", file, graph, OPENVINO),
    ]
