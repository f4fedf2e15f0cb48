"""The runtimes that can run the network, behind one function: images in, logits out.

`tvm` runs artifacts (`.so`), `torch` checkpoints (`.safetensors`, or pickles of any ending),
`onnxruntime` and `openvino` ONNX files, or checkpoints exported to ONNX on the way. All but `tvm`
use one thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lprnet.measure.engines import open_onnxruntime, open_openvino
from lprnet.model.preprocessing import normalise
from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.artifact import read_manifest
from lprnet.runtime.decode import Logits
from lprnet.runtime.image_format import ImageFormat
from lprnet.support.errors import UserError
from lprnet.support.model_file import ModelFile
from lprnet.support.scratch_folder import scratch_folder

if TYPE_CHECKING:  # it loads torch, which artifacts do without
    from lprnet.model.checkpoint import Stated

CHECKPOINTS = (ModelFile.PICKLE, ModelFile.SAFETENSORS)
BACKENDS = {
    "tvm": (ModelFile.ARTIFACT,),
    "torch": CHECKPOINTS,
    "onnxruntime": (ModelFile.ONNX, *CHECKPOINTS),
    "openvino": (ModelFile.ONNX, *CHECKPOINTS),
}
"""Backend to the kinds of files that it runs; the first backend of a kind is its default."""


def default_backend(path: Path) -> str:
    """The backend that runs `path` unless another is asked for."""
    kind = ModelFile.of(path)
    return next(backend for backend, kinds in BACKENDS.items() if kind in kinds)


def reads_and_means(path: Path, stated: Stated | None = None) -> tuple[ImageFormat, Alphabet]:
    """The images that the network in `path` reads and what its logits mean; `stated` as in
    `open_backend`. Raises as that does.
    """
    if ModelFile.of(path) is ModelFile.ARTIFACT:
        manifest = read_manifest(path)
        return manifest.image, manifest.alphabet
    if ModelFile.of(path) is ModelFile.ONNX:
        from lprnet.measure.onnx_input import read_input

        onnx_input = read_input(path, stated)
        return onnx_input.image_format, onnx_input.alphabet
    from lprnet.model.checkpoint import load_model

    architecture = load_model(path, stated).architecture
    return architecture.image_format, architecture.alphabet


def open_backend(path: Path, backend: str, stated: Stated | None = None) -> Logits:
    """Load `path` into `backend`, a key of `BACKENDS`. `stated` is what is known of a checkpoint's
    network beside its tensors.

    A checkpoint runs with the context norm of each image, an ONNX file as it is
    (`lprnet/measure/onnx_input.py`). Raises `UserError` for a file that the
    backend does not run or that is missing or damaged, and for a backend that is not installed.
    """
    kinds = BACKENDS[backend]
    if ModelFile.of(path) not in kinds:
        endings = ", ".join(kind.value for kind in kinds)
        raise UserError(
            f"{path} cannot run in {backend}, which takes {endings}; choose another file or "
            "another backend"
        )
    if not path.is_file():
        raise UserError(f"there is no file {path}; check the path")
    if backend == "tvm":
        from lprnet.runtime.recognizer import Recognizer

        return Recognizer(path).logits
    if backend == "torch":
        return _open_torch(path, stated)
    open_onnx = open_onnxruntime if backend == "onnxruntime" else open_openvino
    if ModelFile.of(path) is ModelFile.ONNX:
        from lprnet.measure.onnx_input import read_input

        bind = open_onnx(path)
        tensor = read_input(path, stated).tensor
        return lambda images: bind(tensor(images))().copy()
    from lprnet.model.checkpoint import load_model
    from lprnet.model.onnx_export import to_onnx

    with scratch_folder() as directory:
        exported = directory / "lprnet.onnx"
        to_onnx(load_model(path, stated), exported)
        bind = open_onnx(exported)
        return lambda images: bind(normalise(images))().copy()


def _open_torch(path: Path, stated: Stated | None) -> Logits:
    import torch

    from lprnet.model.checkpoint import load_model

    model = load_model(path, stated)
    torch.set_num_threads(1)

    def logits(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            result: NDArray[np.float32] = model(torch.from_numpy(normalise(images))).numpy()
        return result

    return logits
