"""How fast one file is: an artifact, or an ONNX file in ONNX Runtime or OpenVINO."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lprnet.measure.backends import BACKENDS, default_backend
from lprnet.measure.engines import Infer, open_onnxruntime, open_openvino
from lprnet.measure.timing import Record, interleaved_timings, on_one_core, record
from lprnet.runtime.artifact import read_artifact
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from lprnet.support.file_names import printable
from lprnet.support.model_file import ModelFile

ENGINES = tuple(name for name in BACKENDS if name != "torch")
"""Backends that this module times; a checkpoint is built or exported first."""


@dataclass(frozen=True)
class Speed:
    """The record of one file."""

    record: Record

    @property
    def plates_per_second(self) -> float:
        """By the median call."""
        return 1e3 * self.record.batch / self.record.median_ms

    def as_json(self) -> dict[str, Any]:
        """The record as plain JSON values, with `plates_per_second`."""
        return {**self.record.as_json(), "plates_per_second": self.plates_per_second}

    def as_text(self) -> str:
        """Three lines for a terminal."""
        one = self.record
        images = "image" if one.batch == 1 else "images"
        threads = "thread, pinned to a core" if one.threads == 1 else "threads"
        return "\n".join(
            [
                f"{printable(one.variant)} in {one.engine} ({one.isa}), {one.cpu}",
                f"{one.batch} {images} a call, {one.threads} {threads}, {one.repeats} calls",
                f"{one.min_ms:.3f} ms min, {one.median_ms:.3f} median, {one.p95_ms:.3f} p95; "
                f"{self.plates_per_second:,.0f} plates/s by the median",
            ]
        )


def bench(path: Path, engine: str | None, batch: int, threads: int, repeats: int) -> Speed:
    """Time `repeats` calls with `batch` images of noise; our artifacts start from uint8 pixels,
    ONNX files from the float32 tensor that they take.

    `engine` is one of `ENGINES`, None for the one of `path`'s ending. One thread is pinned to a
    core. Raises `UserError` for a file that the engine does not run, or not with this batch.
    """
    engine = engine or default_backend(path)
    if ModelFile.of(path) is not (ModelFile.ARTIFACT if engine == "tvm" else ModelFile.ONNX):
        raise UserError(
            f"{path} cannot be timed in {engine}; give an artifact (.so) of lprnet build, or the "
            "ONNX file that lprnet build --onnx writes"
        )
    with on_one_core() if threads == 1 else nullcontext():
        if engine == "tvm":
            infer, variant, isa = _artifact(path, batch, threads)
        else:
            infer, variant, isa = _onnx(path, engine, batch, threads), path.stem, "its own choice"
        samples = interleaved_timings({"call": infer}, repeats)["call"]
    return Speed(
        record(samples, variant=variant, engine=engine, isa=isa, batch=batch, threads=threads)
    )


def _artifact(path: Path, batch: int, threads: int) -> tuple[Infer, str, str]:
    """The call, the variant and the target of an artifact."""
    artifact = read_artifact(path)
    reader = Recognizer(artifact, threads)
    shape = (batch, *artifact.manifest.image.shape)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return lambda: reader.logits(images), artifact.manifest.variant, reader.target_version.target


def _onnx(path: Path, engine: str, batch: int, threads: int) -> Infer:
    """The call of an ONNX file. Raises `UserError` where its batch is fixed to another size."""
    shape = (batch, *_image_shape(path, batch))
    images: NDArray[np.float32] = np.random.default_rng(0).standard_normal(shape, np.float32)
    return (open_onnxruntime if engine == "onnxruntime" else open_openvino)(path, threads)(images)


def _image_shape(path: Path, batch: int) -> tuple[int, ...]:
    """The sizes of the only input of an ONNX file behind its batch."""
    import onnx

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
        weights = {one.name for one in graph.initializer}
        (tensor,) = (one for one in graph.input if one.name not in weights)
        first, *rest = tensor.type.tensor_type.shape.dim
    except Exception as error:  # damaged files raise whatever protobuf meets
        raise UserError(f"{path} is no ONNX file of one input that has a batch") from error
    if first.dim_value and first.dim_value != batch:
        raise UserError(f"{path} takes {first.dim_value} images a call; give --batch of that size")
    sizes = tuple(int(one.dim_value) for one in rest)
    if not all(sizes):
        raise UserError(f"{path} leaves the size of its images open; export it with one size")
    return sizes
