"""What a kernel on tile registers stores: a group's sums as vectors of results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from schedules.amx.conv_tiles import TileGroup
from schedules.amx.instructions import BF16_PRODUCT, INT8_PRODUCT
from schedules.amx.requantize import Requantization
from schedules.workloads.tile_conv import COLUMNS

Rows = Sequence[Sequence[tirx.Expr]]
"""Of each of `pixels_at_once` pixels, its row in each tile of a group, 16 sums."""
Vector = tuple[int, int, tirx.Expr]
"""The pixel and the channel, from the first of both on, that the first of its values belongs to."""


class Results(Protocol):
    """How sums become results; emits statements where it is called."""

    product: ClassVar[str]
    """The instruction that multiplies tiles."""
    sums: ClassVar[str]
    """Their type."""

    def of_group(self, group: TileGroup, whole_pixels: bool) -> Callable[[Rows], list[Vector]]:
        """Emit what all pixels share and return what emits the vectors of some. A vector may
        hold several pixels if `whole_pixels`, that is if they have no other channels.
        """


@dataclass(frozen=True)
class Int8Results:
    """Requantized to bytes."""

    requantization: Requantization
    multiplier: tirx.Buffer
    product: ClassVar[str] = INT8_PRODUCT
    sums: ClassVar[str] = "int32"

    def of_group(self, group: TileGroup, whole_pixels: bool) -> Callable[[Rows], list[Vector]]:
        """As `Results` says."""
        multipliers = [
            T.bind(self.multiplier.vload((group.first + n, 0), "float32x16"))
            for n in range(group.tiles)
        ]

        def vectors(rows: Rows) -> list[Vector]:
            if group.tiles == 4:
                result = self.requantization.one_pixel(rows[0], multipliers)
            elif group.tiles == 3:
                result = self.requantization.three_tiles(rows[0], multipliers)
            elif group.tiles == 2:
                result = self.requantization.two_pixels(rows, multipliers)
            else:
                result = self.requantization.four_pixels([one for (one,) in rows], *multipliers)
            return [(0, 0, result)] if whole_pixels else _split(result, len(rows))

        return vectors


@dataclass(frozen=True)
class Bf16Results:
    """The larger of each sum and 0, rounded to bfloat16, by AVX512_BF16: to nearest, ties to even,
    subnormal sums to 0.
    """

    product: ClassVar[str] = BF16_PRODUCT
    sums: ClassVar[str] = "float32"

    def of_group(self, group: TileGroup, whole_pixels: bool) -> Callable[[Rows], list[Vector]]:
        """As `Results` says."""

        def vectors(rows: Rows) -> list[Vector]:
            if group.tiles == 1 and not whole_pixels:
                return [(p, 0, _bfloat16(*row)) for p, row in enumerate(rows)]
            sums = [one for row in rows for one in row]
            if group.tiles == 3:
                sums.append(tirx.const(0.0, "float32x16"))
            return [(0, n * COLUMNS, _bfloat16(*sums[n : n + 2])) for n in range(0, len(sums), 2)]

        return vectors


def _bfloat16(*sums: tirx.Expr) -> tirx.Expr:
    """The bits of 16 sums, or of 32 of two vectors; uint16."""
    zero = tirx.const(0.0, "float32x16")
    positive = [tirx.max(one, zero) for one in reversed(sums)]  # the upper half is named first
    name = "cvtneps2bf16" if len(sums) == 1 else "cvtne2ps2bf16"
    lanes = COLUMNS * len(sums)
    converted = tirx.call_llvm_pure_intrin(
        f"bfloat16x{lanes}", f"llvm.x86.avx512bf16.{name}.512", *positive
    )
    return tirx.reinterpret(f"uint16x{lanes}", converted)


def _split(result: tirx.Expr, pixels: int) -> list[Vector]:
    """A vector for each pixel."""
    whole = T.bind(result)
    if pixels == 1:
        return [(0, 0, whole)]
    lanes = result.ty.dtype.lanes // pixels
    return [
        (p, 0, tirx.Shuffle([whole], list(range(p * lanes, (p + 1) * lanes))))
        for p in range(pixels)
    ]
