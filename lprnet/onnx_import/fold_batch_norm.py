"""The rewrite of a batch norm after a convolution."""

import numpy as np
import onnx_ir as ir

from lprnet.onnx_import.graph import OnnxGraph, attribute
from lprnet.onnx_import.identities import TRAINING
from lprnet.onnx_import.rewrite import constant, insert, producer

EPSILON = 1e-5
"""ONNX's own, where a file gives none."""


def fold_batch_norm(onnx: OnnxGraph, node: ir.Node) -> ir.Value | None:
    """With s = gamma / sqrt(variance + epsilon)::

        BatchNormalization(Conv(x, W, b))  =>  Conv(x, s * W, s * (b - mean) + beta)

    in float64, rounded once (Jacob et al., arXiv:1712.05877, section 3.2). A norm that takes the
    statistics of each batch is refused, and one whose convolution has no float32 weights or is read
    by others too.
    """
    if node.op_type != "BatchNormalization":
        return None
    if onnx.integers(node, "training_mode", [0]) != [0] or len(node.outputs) > 1:
        raise onnx.refusal(node, TRAINING)
    conv = producer(node, "Conv")
    weight = None if conv is None else onnx.operand(conv, 1)
    if conv is None or weight is None or weight.dtype != np.float32 or _shared(conv):
        raise onnx.refusal(
            node,
            "cannot be folded into a float32 convolution before it; fold batch norms before "
            "quantizing, with onnxruntime.quantization.quant_pre_process or onnxsim",
        )
    bias = onnx.operand(conv, 2)
    gamma, beta, mean, variance = (
        onnx.constant(node, index).astype(np.float64) for index in (1, 2, 3, 4)
    )
    count = weight.shape[:1]
    vectors = (gamma, beta, mean, variance, *(() if bias is None else (bias,)))
    if any(vector.shape != count for vector in vectors) or (variance < 0).any():
        raise onnx.refusal(
            node, f"has statistics that do not fit {count} channels; export the model again"
        )
    given = attribute(node, "epsilon")
    scale = gamma / np.sqrt(variance + (given if isinstance(given, float) else EPSILON))
    folded = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    shifted = ((0 if bias is None else bias) - mean) * scale + beta
    tensors = [constant(name, v.astype(np.float32)) for name, v in (("W", folded), ("b", shifted))]
    attributes = {name: entry.value for name, entry in conv.attributes.items()}
    return insert(conv, "Conv", [conv.inputs[0], *tensors], **attributes)


def _shared(conv: ir.Node) -> bool:
    (output,) = conv.outputs
    return len(output.uses()) != 1 or output.is_graph_output()
