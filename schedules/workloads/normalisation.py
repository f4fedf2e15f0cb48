"""The kernels of normalisation, of the image and of the contexts: shape, name and TensorIR
definition of each.

All data is HWC.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from tvm import te, tirx

from schedules.workloads.signature import Signature

_Normalisation = TypeVar("_Normalisation", bound="ImageNormalisation")


@dataclass(frozen=True)
class ImageNormalisation:
    """Of uint8 `pixels (height, width, channels)`: `(pixels - offset) * scale`."""

    height: int
    width: int
    channels: int
    offset: float
    scale: float

    family: ClassVar[str]
    prefix: ClassVar[str]
    """How the names of these kernels begin."""
    macs: ClassVar[int] = 0

    @property
    def name(self) -> str:
        return f"{self.prefix}_{self.height}x{self.width}x{self.channels}"

    @classmethod
    def candidates(cls: type[_Normalisation], function: Signature) -> Iterator[_Normalisation]:
        """Every workload of this class that a function of this signature may compute."""
        if function.fits([3, 3], "offset", "scale"):
            height, width, channels = function.shapes[0]
            offset, scale = (float(function.attributes[name]) for name in ("offset", "scale"))
            yield cls(height, width, channels, offset, scale)


@dataclass(frozen=True)
class Normalise(ImageNormalisation):
    """Normalises the image to float32 `out` of the shape of `pixels`."""

    family: ClassVar[str] = "normalise"
    prefix: ClassVar[str] = "normalise"

    def prim_func(self) -> tirx.PrimFunc:
        shape = (self.height, self.width, self.channels)
        pixels = te.placeholder(shape, dtype="uint8", name="pixels")
        out = te.compute(
            shape,
            lambda h, w, c: (
                (pixels[h, w, c].astype("float32") - tirx.const(self.offset, "float32"))
                * tirx.const(self.scale, "float32")
            ),
            name="out",
        )
        function = te.create_prim_func([pixels, out])
        return function.with_attrs({"offset": self.offset, "scale": self.scale})


@dataclass(frozen=True)
class MeanSquare:
    """`scale` times the sum of squares of `data (height, width, channels)`, `out (1, 1, 1)`.

    `scale` is one over the number of values without padding channels, which are zeros.
    """

    family: ClassVar[str] = "mean_square"
    height: int
    width: int
    channels: int
    scale: float

    partials: ClassVar[int] = 8
    """Number of separate partial sums, one AVX2 vector; divides `channels`."""
    macs: ClassVar[int] = 0

    @property
    def name(self) -> str:
        return f"meansquare_{self.height}x{self.width}x{self.channels}"

    @classmethod
    def candidates(cls, function: Signature) -> Iterator["MeanSquare"]:
        """Every workload of this class that a function of this signature may compute."""
        if function.fits([3, 3], "scale"):
            height, width, channels = function.shapes[0]
            yield cls(height, width, channels, float(function.attributes["scale"]))

    def prim_func(self) -> tirx.PrimFunc:
        data = te.placeholder((self.height, self.width, self.channels), name="data")
        i, j = te.reduce_axis((0, self.height), "i"), te.reduce_axis((0, self.width), "j")
        k = te.reduce_axis((0, self.channels // self.partials), "k")
        lane = te.reduce_axis((0, self.partials), "lane")

        def square(c: tirx.Var) -> tirx.Expr:
            value = data[i, j, k * self.partials + c]
            return te.sum(value * value, [i, j, k])

        partial = te.compute((self.partials,), square, "partial")
        total = te.compute((1, 1, 1), lambda *_: te.sum(partial[lane], lane), "total")
        scale = tirx.const(self.scale, "float32")
        out = te.compute((1, 1, 1), lambda h, w, c: total[h, w, c] * scale, "out")
        return te.create_prim_func([data, out]).with_attr("scale", self.scale)


@dataclass(frozen=True)
class Divide:
    """`data (height, width, channels)` divided by the single value `divisor (1, 1, 1)`."""

    family: ClassVar[str] = "divide"
    height: int
    width: int
    channels: int

    macs: ClassVar[int] = 0

    @property
    def name(self) -> str:
        return f"divide_{self.height}x{self.width}x{self.channels}"

    @classmethod
    def candidates(cls, function: Signature) -> Iterator["Divide"]:
        """Every workload of this class that a function of this signature may compute."""
        if function.fits([3, 3, 3]):
            height, width, channels = function.shapes[0]
            yield cls(height, width, channels)

    def prim_func(self) -> tirx.PrimFunc:
        shape = (self.height, self.width, self.channels)
        data, divisor = (
            te.placeholder(shape, name="data"),
            te.placeholder((1, 1, 1), name="divisor"),
        )
        out = te.compute(shape, lambda h, w, c: data[h, w, c] / divisor[0, 0, 0], name="out")
        return te.create_prim_func([data, divisor, out])
