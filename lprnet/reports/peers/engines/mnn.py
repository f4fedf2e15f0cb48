"""MNN: weights in 8 bits, activations quantized in each call (dynamic int8).

Its static quantization (KL, EMA) reads 231 and 551 of 1000 plates with the public checkpoint. The
module `MNN.tools` runs pip when it is imported, so the converter is called without it.
"""

from typing import TYPE_CHECKING

from engines.interface import Array, Bind, Infer

if TYPE_CHECKING:
    from pathlib import Path


def convert(source: "Path", target: "Path") -> None:
    """Write the ONNX file `source` as `target`, its weights in 8 bits."""
    import _tools

    files = ["--modelFile", str(source), "--MNNModel", str(target)]
    _tools.mnnconvert(["mnnconvert", "-f", "ONNX", *files, "--weightQuantBits", "8"])


def load(file: str) -> Bind:
    """Load what `convert` wrote."""
    from MNN import expr, nn

    settings = {"backend": "CPU", "numThread": 1, "precision": "high", "memory": "low"}
    runtime = nn.create_runtime_manager((settings,))
    module = nn.load_module_from_file(file, ["images"], ["logits"], runtime_manager=runtime)

    def bind(images: Array) -> Infer:
        x = expr.const(images, images.shape, expr.NCHW)

        def infer() -> Array:
            logits: Array = module.forward([x])[0].read()
            return logits

        return infer

    return bind
