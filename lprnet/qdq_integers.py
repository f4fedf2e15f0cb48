"""The integer layers of a QDQ file in our terms, nothing rounded once more.

A convolution with what surrounds it means, in the file's terms (Jacob et al., arXiv:1712.05877,
section 2.2),

    acc = sum(W * (q - z)) + b,   y = clamp(rint(acc * s_x * s_w / s_y), 0, levels),

which is what `integer.py` computes. A second rounding behind a max pool, and the image's own, are
tables there. A channel that is the same integer on every image, as those of dead batch norms are,
goes into the biases of its readers, which is exact too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from lprnet.onnx_graph import OnnxGraph
from lprnet.onnx_lprnet import Convolution, OnnxLPRNet
from lprnet.onnx_path import STATIC, Step
from lprnet.quantization import IMAGE_SCALE, IMAGE_ZERO_POINT, QuantizedLayer, QuantizedWeight
from lprnet.requantization import requantization
from lprnet.scales import UNSEEN
from lprnet.topology import LAYERS, Layer, reader

PIXEL_LEVELS = 255
WIDEST = 16.0
"""Eight times the range of normalised pixels: an image rounded over more is normalised otherwise.
"""
EQUAL = 1e-5
"""Relative, of two float32 products of the same scales."""
NOT_CONSTANT = -1


def read_layers(
    found: OnnxLPRNet, convolutions: dict[str, Convolution]
) -> tuple[dict[str, QuantizedLayer], int]:
    """The backbone's layers by name, and the largest activation.

    `convolutions` are those of `found` in LPRNet's full shapes. Raises `UserError` for integers
    that ours cannot stand for.
    """
    outputs = {layer.name: _output(found, layer) for layer in LAYERS}
    levels = {most for _, most in outputs.values()}
    if len(levels) > 1:
        raise found.graph.refusal(
            found.convolutions[LAYERS[-1].name].node,
            f"and those before it do not all round to as many bits; use {STATIC}",
        )
    (most,) = levels
    integers: dict[str, _Integers] = {}
    for layer in LAYERS:
        scale = None if layer.source is None else outputs[layer.source][0]
        integers[layer.name] = _integers(
            found, layer, convolutions[layer.name], scale, outputs[layer.name][0]
        )
    for layer in LAYERS:
        _fold_constants(layer, integers, most)
    quantized = {name: one.quantized() for name, one in integers.items()}
    for name, one in integers.items():
        if not one.is_kept_by(quantized[name], most):
            raise found.graph.refusal(
                convolutions[name].node,
                "has a bias beyond what its int32 sums and float32 hold; quantize again, with "
                "coarser weight scales",
            )
    return quantized, most


@dataclass
class _Integers:
    """One layer in LPRNet's shape."""

    values: NDArray[np.int64]
    """OIHW."""
    scale: NDArray[np.float32]
    """(O,)"""
    bias: NDArray[np.int64]
    """(O,), of the accumulator, the input's zero point folded in."""
    constant: NDArray[np.int64]
    """(O,): the integer that a channel is on every image, or `NOT_CONSTANT`."""
    input_scale: float
    input_zero_point: float
    source_scale: float
    """What its source emits on; the same as `input_scale` unless that is rounded again."""
    output_scale: float

    def levels(self, accumulator: NDArray[np.int64], most: int) -> NDArray[np.int64]:
        """What a sum is rounded to, as `integer.py` does it."""
        multiplier = self.input_scale * self.scale.astype(np.float64) / self.output_scale
        product = accumulator.astype(np.float32).astype(np.float64) * multiplier.astype(np.float32)
        levels: NDArray[np.int64] = np.rint(product).clip(0, most).astype(np.int64)
        return levels

    def find_constants(self, largest_input: int, most: int) -> None:
        """Set `constant` by the least and the greatest sum of any input up to `largest_input`."""
        least, greatest = (
            self.bias + largest_input * part.sum(axis=(1, 2, 3))
            for part in (self.values.clip(max=0), self.values.clip(min=0))
        )
        low, high = self.levels(least, most), self.levels(greatest, most)
        self.constant = np.where(low == high, low, NOT_CONSTANT)

    def drop_constants(self, in_context: bool) -> None:
        """Their weights become zero; but a context map sums one that has weights and is not 0 in
        its place, for float32 sums depend on their order.

        Rows of zeros get the coarsest scale of the others, as `InsertQuantize` finds for them.
        """
        used = self.values.any(axis=(1, 2, 3))
        if in_context:
            self.constant[used & (self.constant > 0)] = NOT_CONSTANT
        used &= self.constant == NOT_CONSTANT
        self.values[~used] = 0
        self.scale[~used] = self.scale[used].max() if used.any() else UNSEEN

    def quantized(self) -> QuantizedLayer:
        """In the form that networks are built from; a constant channel has its value as bias."""
        shift = self.input_zero_point * self.values.sum(axis=(1, 2, 3))
        real = (self.bias + shift) * (self.input_scale * self.scale.astype(np.float64))
        is_constant = self.constant != NOT_CONSTANT
        real[is_constant] = self.constant[is_constant] * self.output_scale
        weight = QuantizedWeight(self.values.astype(np.int8), self.scale, real.astype(np.float32))
        return QuantizedLayer(
            weight, self.input_scale, self.input_zero_point, self.output_scale, sqnr=None
        )

    def is_kept_by(self, layer: QuantizedLayer, most: int) -> bool:
        """Whether float32 biases still stand for these integers, and no sum leaves int32."""
        bias = layer.bias.astype(np.int64)
        products = PIXEL_LEVELS * np.abs(self.values).sum(axis=(1, 2, 3))
        is_constant = self.constant != NOT_CONSTANT
        same = np.where(is_constant, self.levels(bias, most) == self.constant, bias == self.bias)
        return bool(same.all() and (np.abs(bias) + products <= np.iinfo(np.int32).max).all())


def _output(found: OnnxLPRNet, layer: Layer) -> tuple[float, int]:
    """Scale and largest integer of what `layer` emits, the same for all who read it."""
    graph, node = found.graph, found.convolutions[layer.name].node
    behind = reader(layer)
    paths = [] if behind is None else [found.reads[behind.name]]
    paths += [] if layer.context is None else [found.contexts[layer.context]]
    if not all(1 <= len(path.steps) <= 2 for path in paths):
        raise graph.refusal(
            node, f"is not rounded to 8 bits once for all its readers; use {STATIC}"
        )
    if len({path.steps[0] for path in paths}) > 1:
        raise graph.refusal(node, f"is rounded differently for its readers; use {STATIC}")
    levels = {
        _levels(graph, node, step, path.rectified or number > 0)
        for path in paths
        for number, step in enumerate(path.steps)
    }
    if len(levels) > 1:
        raise graph.refusal(node, f"is rounded to different numbers of bits; use {STATIC}")
    return paths[0].steps[0].scale, levels.pop()


def _levels(graph: OnnxGraph, node: NodeProto, step: Step, rectified: bool) -> int:
    """The largest integer of `step`, counted from the one that stands for 0.0."""
    if step.zero_point == (-128 if step.signed else 0):
        return 255  # its clamp is a ReLU, if there is no other
    if step.signed and step.zero_point == 0 and rectified:
        return 127
    raise graph.refusal(
        node,
        f"is rounded with zero point {step.zero_point}, which leaves room for values that its ReLU "
        f"removes; use {STATIC}",
    )


def _integers(
    found: OnnxLPRNet,
    layer: Layer,
    one: Convolution,
    source_scale: float | None,
    output_scale: float,
) -> _Integers:
    graph, steps = found.graph, found.reads[layer.name].steps
    if one.scale is None or not steps:
        raise graph.refusal(one.node, f"computes in float32, and others in int8; use {STATIC}")
    if (one.weight == -128).any():
        raise graph.refusal(
            one.node, f"has weights of -128; quantize them from -127 to 127: {STATIC}"
        )
    step, scale = steps[-1], one.scale.astype(np.float32)
    units = step.scale * scale.astype(np.float64)
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
    zero_point = 0
    if layer.source is None:
        zero_point = step.zero_point + (128 if step.signed else 0)
        if step.scale * PIXEL_LEVELS > WIDEST and (step.scale, zero_point) != (1.0, 0):
            raise graph.refusal(
                one.node,
                f"reads an image rounded by {step.scale:g} from {-step.scale * zero_point:g} on; "
                "feed it (pixel - 127.5) / 128, or pixels rounded by 1 from 0 on",
            )
    bias = one.bias.astype(np.int64) - zero_point * values.sum(axis=(1, 2, 3))
    constant = np.full(len(bias), NOT_CONSTANT)
    if layer.source is None and (step.scale, zero_point) == (1.0, 0):
        # Pixels as they are: our weights are of normalised ones.
        scales = (IMAGE_SCALE, IMAGE_ZERO_POINT, IMAGE_SCALE, output_scale)
        return _Integers(values, scale / np.float32(IMAGE_SCALE), bias, constant, *scales)
    there = IMAGE_SCALE if source_scale is None else source_scale
    return _Integers(values, scale, bias, constant, step.scale, zero_point, there, output_scale)


def _fold_constants(layer: Layer, integers: dict[str, _Integers], most: int) -> None:
    """Find the constant channels of `layer`, and add what they contribute to its reader's biases,
    except where zero padding stands between.
    """
    one, behind = integers[layer.name], reader(layer)
    one.find_constants(PIXEL_LEVELS if layer.source is None else most, most)
    constant = one.constant.copy()
    one.drop_constants(layer.context is not None)
    if behind is None:
        return
    reads = integers[behind.name]
    table = requantization(reads.source_scale, 0, reads.input_scale, 0, most).astype(np.int64)
    constant = constant[:: behind.stride]
    values = table[constant.clip(min=0)]
    padded = reads.values.shape[2:] in ((3, 1), (1, 3))
    folded = (constant != NOT_CONSTANT) & ((values == 0) | (not padded))
    reads.bias += reads.values.sum(axis=(2, 3))[:, folded] @ values[folded]
    reads.values[:, folded] = 0
