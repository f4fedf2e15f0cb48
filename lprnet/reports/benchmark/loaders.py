"""How the engines load a file that run in the report's own environment, ours apart.

Each has its best known settings. A cold start of each imports this, so it imports little.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lprnet.measure.engines import (
    OPENVINO_DEFAULTS,
    Bind,
    Infer,
    open_onnxruntime,
    open_openvino,
)
from lprnet.support.model_file import ModelFile


def pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`(N, 24, 94, 3)` uint8 BGR to `(N, 3, 24, 94)` float32 of the same values, as our quantized
    network takes them.
    """
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)


def _torch(file: Path, flush: bool = True, compiled: bool = False) -> Bind:
    """Eager PyTorch, or `torch.compile`, of a checkpoint or of a reduced graph in ONNX."""
    import torch

    torch.set_num_threads(1)
    if ModelFile.of(file) is ModelFile.ONNX:
        from lprnet.reports.benchmark.onnx_in_torch import OnnxModule

        model: torch.nn.Module = OnnxModule(file)
    else:
        from lprnet.model.checkpoint import load_china

        model = load_china(file)
    model.eval()
    if compiled:
        from torch._inductor import config

        config.freezing = True  # weights become constants, laid out for the kernels
        model.compile()

    def bind(images: NDArray[np.float32]) -> Infer:
        x = torch.from_numpy(images)

        def infer() -> NDArray[np.float32]:
            torch.set_flush_denormal(flush)
            with torch.inference_mode():
                logits: NDArray[np.float32] = model(x).numpy()
            return logits

        return infer

    return bind


Loader = tuple[Callable[[Path], Bind], bool]
"""What loads a file, and whether its input is pixels as they are, not normalised ones."""

LOADERS: dict[str, Loader] = {
    "torch": (_torch, False),
    "torch, subnormals kept": (partial(_torch, flush=False), False),
    "torch.compile": (partial(_torch, compiled=True), False),
    "onnxruntime": (open_onnxruntime, False),
    "openvino": (open_openvino, False),
    "openvino, defaults": (partial(open_openvino, settings=OPENVINO_DEFAULTS), False),
    "onnxruntime, pixels": (open_onnxruntime, True),
    "openvino, pixels": (open_openvino, True),
}
"""By the name of the engine."""
