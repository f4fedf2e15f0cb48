"""`StackRows`: the image for a first convolution whose filter's rows are read as one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tvm import te, tirx

from schedules.dot4_intrinsics import GROUP
from schedules.workloads.signature import Signature


@dataclass(frozen=True)
class StackRows:
    """Of uint8 `pixels (height + rows - 1, width, channels)`, the pixels of each `rows` rows as
    channels of one, `out (height, width, padded)` uint8:

        out[h, w, r * channels + c] = pixels[h + r, w, c]

    The channels behind those are zeros, to whole groups of 4. A filter of `rows` rows on `pixels`
    is one of one row on `out`, and its window is bytes that lie one after another.
    """

    family: ClassVar[str] = "stack_rows"
    height: int
    width: int
    channels: int
    rows: int

    macs: ClassVar[int] = 0

    @property
    def stacked(self) -> int:
        """Channels of `out` without padding."""
        return self.rows * self.channels

    @property
    def padded(self) -> int:
        return -(-self.stacked // GROUP) * GROUP

    @property
    def name(self) -> str:
        return f"stack_{self.height}x{self.width}x{self.channels}_r{self.rows}"

    @classmethod
    def candidates(cls, function: Signature) -> Iterator["StackRows"]:
        """Every workload of this class that a function of this signature may compute."""
        if function.fits([3, 3]) and function.shapes[0][1] == function.shapes[1][1]:
            (rows, width, channels), (height, *_) = function.shapes
            if rows > height:
                yield cls(height, width, channels, rows - height + 1)

    def prim_func(self) -> tirx.PrimFunc:
        image = (self.height + self.rows - 1, self.width, self.channels)
        pixels = te.placeholder(image, dtype="uint8", name="pixels")
        out = te.compute(
            (self.height, self.width, self.padded),
            lambda h, w, c: tirx.if_then_else(
                c < self.stacked,
                pixels[h + c // self.channels, w, c % self.channels],
                tirx.const(0, "uint8"),
            ),
            name="out",
        )
        return te.create_prim_func([pixels, out])
