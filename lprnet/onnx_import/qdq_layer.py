"""One integer layer of a QDQ file, and what its constant channels come to.

A channel that is the same integer on every image, as those of dead batch norms are, goes into the
biases of its consumers, in integers too: nothing is rounded.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lprnet.model.architecture import Architecture, Conv
from lprnet.model.quantized import PIXEL_MAX, QuantizedLayer, QuantizedWeight
from relay_passes.lowering.check_pair_sums import PairSumError, check_pair_sums
from schedules.requantize_table import requantization

NOT_CONSTANT = -1


@dataclass
class IntegerLayer:
    """One layer."""

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
    output_qmax: int
    """The largest integer it emits."""

    def levels(self, accumulator: NDArray[np.int64]) -> NDArray[np.int64]:
        """What a sum is rounded to, as `lprnet/compression/quantize/integer_reference.py` does
        it.
        """
        multiplier = self.input_scale * self.scale.astype(np.float64) / self.output_scale
        product = accumulator.astype(np.float32).astype(np.float64) * multiplier.astype(np.float32)
        levels: NDArray[np.int64] = np.rint(product).clip(0, self.output_qmax).astype(np.int64)
        return levels

    def find_constants(self, largest_input: int) -> None:
        """Set `constant` by the least and the greatest sum of any input up to `largest_input`."""
        least, greatest = (
            self.bias + largest_input * part.sum(axis=(1, 2, 3))
            for part in (self.values.clip(max=0), self.values.clip(min=0))
        )
        low, high = self.levels(least), self.levels(greatest)
        self.constant = np.where(low == high, low, NOT_CONSTANT)

    def drop_constants(self, in_context: bool) -> None:
        """Their weights become zero; but a context map sums one that has weights and is not 0 in
        its place, for float32 sums depend on their order.

        With output scale over input scale, one step of a constant's accumulator is one of its
        output.
        """
        used = self.values.any(axis=(1, 2, 3))
        if in_context:
            self.constant[used & (self.constant > 0)] = NOT_CONSTANT
        used &= self.constant == NOT_CONSTANT
        self.values[~used] = 0
        self.scale[~used] = self.output_scale / self.input_scale

    def quantized(self) -> QuantizedLayer:
        """In the form that networks are built from; a constant channel has its value as bias."""
        shift = self.input_zero_point * self.values.sum(axis=(1, 2, 3))
        real = (self.bias + shift) * (self.input_scale * self.scale.astype(np.float64))
        is_constant = self.constant != NOT_CONSTANT
        real[is_constant] = self.constant[is_constant] * self.output_scale
        weight = QuantizedWeight(self.values.astype(np.int8), self.scale, real.astype(np.float32))
        return QuantizedLayer(
            weight,
            self.input_scale,
            self.input_zero_point,
            self.output_scale,
            self.output_qmax,
            sqnr=None,
        )

    def is_kept_by(self, layer: QuantizedLayer) -> bool:
        """Whether float32 biases still stand for these integers, and no sum leaves int32."""
        bias = layer.bias.astype(np.int64)
        products = PIXEL_MAX * np.abs(self.values).sum(axis=(1, 2, 3))
        is_constant = self.constant != NOT_CONSTANT
        same = np.where(is_constant, self.levels(bias) == self.constant, bias == self.bias)
        return bool(same.all() and (np.abs(bias) + products <= np.iinfo(np.int32).max).all())


def largest_input(
    architecture: Architecture, conv: Conv, integers: Mapping[str, IntegerLayer]
) -> int:
    """The largest integer that `conv` reads, also where it is rounded again."""
    producer = architecture.producer(conv)
    return PIXEL_MAX if producer is None else integers[producer.name].output_qmax


def pairs_are_chosen(architecture: Architecture, integers: Mapping[str, IntegerLayer]) -> bool:
    """Whether the weights were rounded for AVX2, whose sums hold all pairs of neighbouring channels
    as they are in the file, and not any two: then no channel that has weights may go, for its
    neighbours would get other partners.
    """
    read = [
        (integers[conv.name].values, largest_input(architecture, conv, integers))
        for conv in architecture.backbone
        if architecture.producer(conv)
    ]
    limit = np.iinfo(np.int16).max
    if all(2 * most * np.abs(values).max(initial=0) <= limit for values, most in read):
        return False
    try:
        for values, most in read:
            taps = values.transpose(0, 2, 3, 1)
            even = np.pad(taps, ((0, 0), (0, 0), (0, 0), (0, values.shape[1] % 2)))
            check_pair_sums(even.astype(np.int8), most)
    except PairSumError:
        return False
    return True


def fold_constants(
    architecture: Architecture,
    conv: Conv,
    integers: dict[str, IntegerLayer],
    *,
    pinned: bool,
) -> None:
    """Find the constant channels of `conv`, and add what they contribute to its consumer's biases,
    except where zero padding stands between. Where
    channels are `pinned`, those that have weights count as not constant.
    """
    one, consumer = integers[conv.name], architecture.consumer(conv)
    one.find_constants(largest_input(architecture, conv, integers))
    if pinned:
        one.constant[one.values.any(axis=(1, 2, 3))] = NOT_CONSTANT
    constant = one.constant.copy()
    one.drop_constants(architecture.context_index(conv) is not None)
    if consumer is None:
        return
    reads = integers[consumer.name]
    table = requantization(reads.source_scale, 0, reads.input_scale, 0, one.output_qmax)
    if consumer.pool is not None:
        constant = constant[list(consumer.pool.selected(len(constant)))]
    values = table[constant.clip(min=0)].astype(np.int64)
    padded = any(consumer.padding)
    folded = (constant != NOT_CONSTANT) & ((values == 0) | (not padded))
    reads.bias += reads.values.sum(axis=(2, 3))[:, folded] @ values[folded]
    reads.values[:, folded] = 0
