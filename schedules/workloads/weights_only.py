"""A float32 convolution with int8 weights, which are dequantized in registers.

If a weight is used for few tiles of pixels, this costs less than `DequantizeWeight`, which writes
float32 weights to memory that the convolution reads again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tvm import te, tirx

from schedules.workloads.direct_conv import DirectConv, rows_apart
from schedules.workloads.signature import Signature

MAX_TILES = 9
"""Most tiles of pixels; each dequantizes its weights again, with two instructions a vector. With
one tile (AVX-512) a call of the artifact is 1 % faster than with `DequantizeWeight`, with nine
(AVX2) equally fast and 1.4 KB smaller; measured on Ice Lake.
"""


@dataclass(frozen=True)
class WeightOnlyConv2d(DirectConv):
    """Convolution by int8 weights, scale and bias, without ReLU.

    `data` of `data_shape`, `weight (elements,)`
    int8, `scale (blocks * block,)`, `bias (blocks * block,)` to `out (height, width,
    blocks * block)`:

        out = sum(data * float32(weight)) * scale + bias

    Weights are in the order (kernel_height, kernel_width, channels, out_channels) without padding,
    so a vector that reaches beyond `out_channels` also reads the next weights. A scale and a bias
    of zero make such lanes zero. `elements` includes what the last vector reads beyond the end.
    """

    family: ClassVar[str] = "weight_only_conv2d"
    prefix: ClassVar[str] = "sconv"

    @property
    def elements(self) -> int:
        """Number of stored weights."""
        return (self.window - 1) * self.out_channels + self.blocks * self.block

    @classmethod
    def candidates(cls, function: Signature) -> Iterator["WeightOnlyConv2d"]:
        """Every workload of this class that a function of this signature may compute."""
        if function.fits([3, 1, 1, 1, 3], "window"):
            (rows, _, channels), _, _, _, (height, width, _) = function.shapes
            window = [int(extent) for extent in function.attributes["window"]]
            stride = rows_apart(rows, height, window[0])
            yield cls(height, width, channels, *window, row_stride=stride)

    def prim_func(self) -> tirx.PrimFunc:
        block, padded = self.block, self.padded_channels
        data = te.placeholder(self.data_shape, name="data")
        weight = te.placeholder((self.elements,), dtype="int8", name="weight")
        scale, bias = (te.placeholder((padded,), name=name) for name in ("scale", "bias"))
        kh = te.reduce_axis((0, self.kernel_height), "kh")
        kw = te.reduce_axis((0, self.kernel_width), "kw")
        c = te.reduce_axis((0, self.channels), "c")

        def product(o: tirx.Var, h: tirx.Var, w: tirx.Var, v: tirx.Var) -> tirx.Expr:
            row = (kh * self.kernel_width + kw) * self.channels + c
            factor = weight[row * self.out_channels + o * block + v].astype("float32")
            return te.sum(data[h * self.row_stride + kh, w + kw, c] * factor, axis=[kh, kw, c])

        acc = te.compute((self.blocks, self.height, self.width, block), product, name="acc")
        out = te.compute(
            (self.height, self.width, padded),
            lambda h, w, o: acc[o // block, h, w, o % block] * scale[o] + bias[o],
            name="out",
        )
        function = te.create_prim_func([data, weight, scale, bias, out])
        window = [self.kernel_height, self.kernel_width, self.out_channels, block]
        return function.with_attr("window", window)
