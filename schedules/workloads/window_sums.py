"""The kernels of contexts in integers: window sums of 16 bits, and the convolution of those."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import ClassVar

from tvm import te, tirx

from schedules.workloads.pool_windows import byte_window_sums
from schedules.workloads.signature import Signature, average_windows

CENTRE = 2**15
"""What is taken from a sum, so that it fits int16."""
MOST_SUMMED = 257
"""Values of a byte whose sum fits 16 bits."""
PAIR = 2
"""Input channels that one instruction sums."""


@dataclass(frozen=True)
class SumPool:
    """Window sums of uint8 `data (rows, columns, channels)` less `CENTRE`, `out (height, width,
    channels)` int16; of at most `MOST_SUMMED` values each.
    """

    family: ClassVar[str] = "sum_pool"
    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]

    macs: ClassVar[int] = 0

    @property
    def name(self) -> str:
        kernel = "x".join(map(str, self.kernel))
        return f"sumpool_{self.height}x{self.width}x{self.channels}_k{kernel}"

    @classmethod
    def candidates(cls, function: Signature) -> Iterator["SumPool"]:
        """Every workload of this class that a function of this signature may compute."""
        if function.fits([3, 3]) and function.dtypes == ("uint8", "int16"):
            data, out = function.shapes
            height, width, channels = out
            for kernel, stride in average_windows(data, out):
                if kernel[0] * kernel[1] <= MOST_SUMMED:
                    yield cls(height, width, channels, kernel, stride)

    def prim_func(self) -> tirx.PrimFunc:
        shape = (self.height, self.width, self.channels)
        data, sums = byte_window_sums(shape, self.kernel, self.stride)
        out = te.compute(
            sums.shape, lambda h, w, c: (sums[h, w, c] - CENTRE).astype("int16"), name="out"
        )
        return te.create_prim_func([data, out])


@dataclass(frozen=True)
class SumConv:
    """1x1 convolution of centred window sums by int8 weights, summed exactly for each context.

    `data (height, width, sum of contexts)` int16, the channels of the contexts side by side, each
    an even number; `weight (elements,)` int8, `start (contexts, block)` int32,
    `multiplier (contexts, block)` and `bias (block,)` float32 to `out (height, width, block)`
    float32:

        out = bias;  for each context k:  out = fma(float32(start[k] + sum(data * weight)),
                                                    multiplier[k], out)

    So a logit has the same bits whatever the order of a sum. `start` is what `CENTRE` has taken
    from it, modulo 2**32. Weights are in the order (channels / 2, out_channels, 2) without padding,
    so a vector that reaches beyond `out_channels` also reads the next weights: there the multiplier
    and the bias are 0. `elements` includes what the last vector reads beyond the end.
    """

    family: ClassVar[str] = "sum_conv"
    height: int
    width: int
    contexts: tuple[int, ...]
    """Channels of each."""
    out_channels: int
    block: int
    """Output channels in whole vectors."""

    @property
    def channels(self) -> int:
        return sum(self.contexts)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the layer itself; padding lanes are not counted."""
        return self.height * self.width * self.channels * self.out_channels

    @property
    def elements(self) -> int:
        """Number of stored weights."""
        return PAIR * ((self.channels // PAIR - 1) * self.out_channels + self.block)

    @property
    def name(self) -> str:
        return f"sumconv1x1_{self.height}x{self.width}_{self.channels}to{self.out_channels}"

    @classmethod
    def candidates(cls, function: Signature) -> Iterator["SumConv"]:
        """Every workload of this class that a function of this signature may compute."""
        if function.fits([3, 1, 2, 2, 1, 3], "contexts", "out_channels"):
            *_, (height, width, block) = function.shapes
            contexts = tuple(int(channels) for channels in function.attributes["contexts"])
            yield cls(height, width, contexts, int(function.attributes["out_channels"]), block)

    def prim_func(self) -> tirx.PrimFunc:
        extents, kinds = (self.height, self.width, self.block), (len(self.contexts), self.block)
        data = te.placeholder((self.height, self.width, self.channels), "int16", "data")
        weight = te.placeholder((self.elements,), "int8", "weight")
        start = te.placeholder(kinds, "int32", "start")
        multiplier = te.placeholder(kinds, "float32", "multiplier")
        bias = te.placeholder((self.block,), "float32", "bias")

        def context_sum(k: int, first: int, end: int) -> te.Tensor:
            c = te.reduce_axis((first, end), f"c{k}")

            def product(h: tirx.Var, w: tirx.Var, o: tirx.Var) -> tirx.Expr:
                place = (c // PAIR * self.out_channels + o) * PAIR + c % PAIR
                factor = weight[place].astype("int32")
                return te.sum(data[h, w, c].astype("int32") * factor, axis=c)

            return te.compute(extents, product, name=f"sum{k}")

        ends = list(accumulate(self.contexts, initial=0))
        sums = [context_sum(k, first, end) for k, (first, end) in enumerate(pairwise(ends))]

        def logit(h: tirx.Var, w: tirx.Var, o: tirx.Var) -> tirx.Expr:
            total = bias[o]
            for k, part in enumerate(sums):
                exact = (start[k, o] + part[h, w, o]).astype("float32")
                total = tirx.call_llvm_pure_intrin(
                    "float32", "llvm.fma", exact, multiplier[k, o], total
                )
            return total

        out = te.compute(extents, logit, name="out")
        function = te.create_prim_func([data, weight, start, multiplier, bias, out])
        attributes = {"contexts": list(self.contexts), "out_channels": self.out_channels}
        return function.with_attrs(attributes)
