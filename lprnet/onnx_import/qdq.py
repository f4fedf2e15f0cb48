"""The integer layers of a QDQ file in our terms, nothing rounded once more.

A convolution with what surrounds it means, in the file's terms (Jacob et al., arXiv:1712.05877,
section 2.2),

    acc = sum(W * (q - z)) + b,   y = clamp(rint(acc * s_x * s_w / s_y), 0, levels),

which is what `lprnet/compression/quantize/integer_reference.py` computes. A second rounding after
a max pool, and the image's own, are tables there.
"""

import re

import numpy as np
import onnx_ir as ir

from lprnet.model.architecture import Conv
from lprnet.model.quantized import IMAGE_SCALE, IMAGE_ZERO_POINT, PIXEL_MAX, QuantizedLayer
from lprnet.onnx_import.edge import REMEDY_QUANTIZE_STATIC, Step
from lprnet.onnx_import.graph import OnnxGraph
from lprnet.onnx_import.match_lprnet import OnnxLPRNet
from lprnet.onnx_import.qdq_layer import (
    NOT_CONSTANT,
    IntegerLayer,
    fold_constants,
    pairs_are_chosen,
)
from lprnet.support.errors import UserError

NNCF = r"QuantizeLinear_.+_\d+"
"""ONNX Runtime's and this project's nodes are called otherwise."""
WIDEST = 16.0
"""Eight times the range of normalised pixels: an image rounded over more is normalised otherwise.
"""
EQUAL = 1e-5
"""Relative, of two float32 products of the same scales."""


def check_quantizer(graph: OnnxGraph) -> None:
    """Raise `UserError` for a file that NNCF has quantized, which its nodes' names say."""
    if any(re.fullmatch(NNCF, node.name or "") for node in graph.graph):
        raise UserError(
            f"{graph.path} was quantized by NNCF, whose biases are float32 and whose averages are "
            f"rounded, which integer kernels do not compute; use {REMEDY_QUANTIZE_STATIC}"
        )


def read_layers(found: OnnxLPRNet) -> dict[str, QuantizedLayer]:
    """The backbone's layers by name.

    Raises `UserError` for integers that ours cannot stand for.
    """
    architecture = found.architecture
    outputs = {conv.name: _output(found, conv) for conv in architecture.backbone}
    integers: dict[str, IntegerLayer] = {}
    for conv in architecture.backbone:
        source = architecture.producer(conv)
        scale = None if source is None else outputs[source.name][0]
        integers[conv.name] = _integers(found, conv, scale, *outputs[conv.name])
    pinned = pairs_are_chosen(architecture, integers)
    for conv in architecture.backbone:
        fold_constants(architecture, conv, integers, pinned=pinned)
    quantized = {name: one.quantized() for name, one in integers.items()}
    for name, one in integers.items():
        if not one.is_kept_by(quantized[name]):
            raise found.graph.refusal(
                found.convolutions[name].node,
                "has a bias beyond what its int32 sums and float32 hold; quantize again, with "
                "coarser weight scales",
            )
    return quantized


def _output(found: OnnxLPRNet, conv: Conv) -> tuple[float, int]:
    """Scale and largest integer of what `conv` emits, the same for all its consumers."""
    graph, node = found.graph, found.convolutions[conv.name].node
    consumer = found.architecture.consumer(conv)
    context = found.architecture.context_index(conv)
    edges = [] if consumer is None else [found.edges[consumer.name]]
    edges += [] if context is None else [found.contexts[context]]
    if not all(1 <= len(edge.steps) <= 2 for edge in edges):
        raise graph.refusal(
            node,
            f"is not rounded to 8 bits once for all its consumers; use {REMEDY_QUANTIZE_STATIC}",
        )
    if len({edge.steps[0] for edge in edges}) > 1:
        raise graph.refusal(
            node, f"is rounded differently for its consumers; use {REMEDY_QUANTIZE_STATIC}"
        )
    levels = {
        _levels(graph, node, step, edge.rectified or number > 0)
        for edge in edges
        for number, step in enumerate(edge.steps)
    }
    if len(levels) > 1:
        raise graph.refusal(
            node, f"is rounded to different numbers of bits; use {REMEDY_QUANTIZE_STATIC}"
        )
    return edges[0].steps[0].scale, levels.pop()


def _levels(graph: OnnxGraph, node: ir.Node, step: Step, rectified: bool) -> int:
    """The largest integer of `step`, counted from the one that stands for 0.0."""
    if step.zero_point == (-128 if step.signed else 0):
        return 255  # its clamp is a ReLU, if there is no other
    if step.signed and step.zero_point == 0 and rectified:
        return 127
    raise graph.refusal(
        node,
        f"is rounded with zero point {step.zero_point}, which leaves room for values that its ReLU "
        f"removes; use {REMEDY_QUANTIZE_STATIC}",
    )


def _integers(
    found: OnnxLPRNet,
    conv: Conv,
    source_scale: float | None,
    output_scale: float,
    output_qmax: int,
) -> IntegerLayer:
    """`conv` with what surrounds it; `source_scale` is what its producer emits on."""
    graph, steps, one = found.graph, found.edges[conv.name].steps, found.convolutions[conv.name]
    if one.scale is None or not steps:
        raise graph.refusal(
            one.node, f"computes in float32, and others in int8; use {REMEDY_QUANTIZE_STATIC}"
        )
    if (one.weight == -128).any():
        raise graph.refusal(
            one.node,
            f"has weights of -128; quantize them from -127 to 127: {REMEDY_QUANTIZE_STATIC}",
        )
    step, scale = steps[-1], one.scale.astype(np.float32)
    zero_point = 0
    if source_scale is None:
        zero_point = step.zero_point + (128 if step.signed else 0)
        if step.scale * PIXEL_MAX > WIDEST and (step.scale, zero_point) != (1.0, 0):
            raise graph.refusal(
                one.node,
                f"reads an image rounded by {step.scale:g} from {-step.scale * zero_point:g} on; "
                "feed it (pixel - 127.5) / 128, or pixels rounded by 1 from 0 on",
            )
    units = step.scale * scale.astype(np.float64)
    if units.max() * 2**31 > np.finfo(np.float32).max * min(1.0, output_scale):
        raise graph.refusal(one.node, "has scales whose products leave float32; quantize again")
    matches = one.bias == 0
    if one.bias_scale is not None:
        matches |= np.abs(one.bias_scale - units) <= EQUAL * units
    if not matches.all():
        raise graph.refusal(
            one.node,
            "has a bias that is no int32 at the product of its input's and weights' scales; leave "
            "quantize_static's QuantizeBias on",
        )
    values = one.weight.astype(np.int64)
    bias = one.bias.astype(np.int64) - zero_point * values.sum(axis=(1, 2, 3))
    constant = np.full(len(bias), NOT_CONSTANT)
    if source_scale is None and (step.scale, zero_point) == (1.0, 0):
        # Pixels as they are: our weights are of normalised ones.
        around = (IMAGE_SCALE, IMAGE_ZERO_POINT, IMAGE_SCALE, output_scale, output_qmax)
        return IntegerLayer(values, scale / np.float32(IMAGE_SCALE), bias, constant, *around)
    there = IMAGE_SCALE if source_scale is None else source_scale
    around = (step.scale, zero_point, there, output_scale, output_qmax)
    return IntegerLayer(values, scale, bias, constant, *around)
