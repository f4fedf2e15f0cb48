"""A quantized LPRNet as data: integers, scales, and what each layer lost."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lprnet.model.conv_graph import Layer
from lprnet.model.lprnet import LPRNet
from lprnet.model.preprocessing import OFFSET, SCALE

IMAGE_SCALE, IMAGE_ZERO_POINT = SCALE, OFFSET
"""The network reads `IMAGE_SCALE * (pixel - IMAGE_ZERO_POINT)`."""
UNSEEN = 1.0
"""The scale of values that are all zero: any would do, and none may be zero."""
LARGEST_BIAS = 2**30
"""Of an accumulator's int32; the products of no LPRNet layer reach the other half."""


@dataclass(frozen=True)
class QuantizedWeight:
    """A convolution's weight as `scale * values`, in LPRNet's full OIHW shape.

    Rows and columns that are zero belong to channels a compiler drops.
    """

    values: NDArray[np.int8]
    scale: NDArray[np.float32]
    """(O,), positive."""
    bias: NDArray[np.float32]
    """(O,), real values, corrected for what rounding shifts."""


@dataclass(frozen=True)
class QuantizedLayer:
    """A convolution of the integer network, its ReLU included: the scales around its integers."""

    weight: QuantizedWeight
    input_scale: float
    input_zero_point: float
    """Of the grid it reads on; where its source emits on another one, what it emits is rounded
    again in between."""
    output_scale: float
    sqnr: float | None
    """Signal to quantization noise at its output, all noise from before included, in dB; None where
    no float network is known."""

    @property
    def bias(self) -> NDArray[np.int32]:
        """(O,), in units of the accumulator, the input's zero point folded in."""
        sums = self.weight.values.astype(np.float64).sum(axis=(1, 2, 3))
        scale = self.input_scale * self.weight.scale.astype(np.float64)
        real = self.weight.bias.astype(np.float64) / scale
        bias: NDArray[np.int32] = np.rint(real - self.input_zero_point * sums).astype(np.int32)
        return bias

    @property
    def multiplier(self) -> NDArray[np.float32]:
        """(O,), from the accumulator to the output's integers."""
        scale = self.input_scale * self.weight.scale.astype(np.float64)
        multiplier: NDArray[np.float32] = (scale / self.output_scale).astype(np.float32)
        return multiplier


@dataclass(frozen=True)
class Quantization:
    """An LPRNet in integers, by convolution name; the container computes in float32."""

    layers: dict[str, QuantizedLayer]
    container: QuantizedWeight | None
    """None where its weights are float32, those of `model`."""
    levels: int
    """The largest activation: 127 or 255."""
    model: LPRNet
    """The folded network that the integers stand for, weights on their grid."""

    def read_on(self, layer: Layer) -> tuple[float, int] | None:
        """Scale and zero point of the grid that `layer` rounds what it reads to; None where it
        reads its source's integers, or the pixels, as they are.
        """
        reads = self.layers[layer.name].input_scale, self.layers[layer.name].input_zero_point
        if layer.source is None:
            there = IMAGE_SCALE, IMAGE_ZERO_POINT
        else:
            there = self.layers[layer.source].output_scale, 0.0
        return None if reads == there else (reads[0], int(reads[1]))


class WeightsOnly(NamedTuple):
    """int8 weights for float arithmetic, the container's too, and the model they stand for."""

    weights: dict[str, QuantizedWeight]
    model: LPRNet
