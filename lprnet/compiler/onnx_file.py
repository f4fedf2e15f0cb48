"""ONNX files of what a build compiles, for other runtimes."""

from pathlib import Path

import onnx
import tvm
from onnx import helper

from lprnet.compiler.network import CompilerInput
from lprnet.compiler.relax_to_onnx import onnx_model
from lprnet.model.architecture_json import to_json
from lprnet.model.checkpoint_content import METADATA
from lprnet.model.preprocessing import NORMALISED, OFFSET, PIXELS, SCALE
from lprnet.support.atomic_file import atomic_write
from relay_passes.pipeline import quantize, reads_pixels


def network_to_onnx(network: CompilerInput, path: Path) -> None:
    """Write what a build compiles, as `reduced_to_onnx` or `quantized_to_onnx` does, with its
    architecture as metadata and what its input is as description; all of the file or none.

    Raises `UserError` if `path` cannot be written.
    """
    module = qdq_module(network) if network.scales else network.module
    model = onnx_model(module)
    pixels = bool(network.scales) and reads_pixels(network.scales)
    colours = network.architecture.image_format.colours
    model.doc_string = (
        f"LPRNet, {network.variant}. images: {PIXELS if pixels else NORMALISED}, {colours}, NCHW"
    )
    helper.set_model_props(model, {METADATA: to_json(network.architecture)})
    with atomic_write(path) as partial:
        partial.write_bytes(model.SerializeToString())


def quantized_to_onnx(network: CompilerInput, path: Path) -> None:
    """Write a quantized `network` as standard QDQ ONNX, integers and scales those of its artifact.

    Its input `images` `(batch, 3, 24, 94)` float32 holds pixels as they are, 0 to 255, BGR: the
    zero point of normalised ones, 127.5, is no integer. Weights are int8 with a scale a
    channel, biases int32, activations have zero point 0: uint8, or int8 of a layer that emits at
    most 127. Where only weights are quantized, pixels are normalised, and all else is float32. On a
    CPU without VNNI, ONNX Runtime adds products in pairs of its own choice, which can saturate
    (logits move by up to 10 % of the largest); with its session option
    `session.x64quantprecision` = 1 they do not.
    """
    onnx.save(onnx_model(qdq_module(network)), str(path))


def qdq_module(network: CompilerInput) -> tvm.IRModule:
    """The graph of a quantized `network` with `quantize` and `dequantize` around its operators."""
    *qdq, _fold = quantize(network.scales, OFFSET, SCALE)
    return tvm.transform.Sequential(qdq, name="qdq")(network.module)


def reduced_to_onnx(module: tvm.IRModule, path: Path) -> None:
    """Write `relay_passes.pipeline.reduce_graph`'s module as ONNX, its batch dynamic.

    Input `images` `(batch, 3, 24, 94)`, output `logits`, float32. Raises as `onnx_model`.
    """
    onnx.save(onnx_model(module), str(path))
