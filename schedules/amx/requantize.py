"""int32 sums of tiles to bytes with AVX-512, 64 results in 12 instructions or 13.

A sum times its multiplier is rounded by one fused multiply-add of 1.5 * 2**23, which leaves the
integer in the low 16 bits of its lane, modulo 2**16. Between 2**23 and 2**24 float32 has whole
numbers only, and the addend is even, so ties go to even as `requantized` has them. It is exact if
the integer fits int16, what `TileConv2d` demands. The low halves of two vectors are joined by one
masked `vpshufb`, and `vpackuswb` clamps words to 0..255.

LLVM turns shuffles whose indices it sees into `vpermt2w`, three times as dear. So their indices go
through `llvm.arithmetic.fence`, which is no instruction; and the mask is the sign of such a vector,
because of a constant mask LLVM makes a blend of its own (both seen with LLVM 22).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import tirx
from tvm.script.ir_builder import tirx as T

_LANES = 16


@dataclass(frozen=True)
class Requantization:
    """Emits requantizations of tiles to at most `qmax`; makes its constants where it is made."""

    qmax: int
    swap: tirx.Var
    """Indices of bytes: the halves of each 32-bit lane change places."""
    high: tirx.Var
    """Negative in the bytes of the high halves."""
    by_quad: tirx.Var
    """Indices of 64-bit lanes: 0 2 4 6 1 3 5 7."""
    by_pixel: tirx.Var
    """Indices of bytes: four pixels' channels, from the order in which packing joins them."""
    pair_first: tirx.Var
    """Indices of bytes: 32 channels of a pair of tiles, 16 of a third, then zeros."""

    @staticmethod
    def start(qmax: int) -> "Requantization":
        """Bind the constants, which are then in registers."""
        byte, quad = _ramp("int8", 64), _ramp("int64", 8)
        return Requantization(
            qmax,
            T.bind(opaque("int8x64", byte ^ _all(2, "int8x64"))),
            T.bind(opaque("int8x64", byte << _all(6, "int8x64"))),
            T.bind(
                opaque(
                    "int64x8",
                    (quad << _all(1, "int64x8")) & _all(6, "int64x8") | quad >> _all(2, "int64x8"),
                )
            ),
            T.bind(opaque("int8x64", _pixel_order(byte))),
            T.bind(opaque("int8x64", _pair_order(byte))),
        )

    def one_pixel(self, sums: Sequence[tirx.Expr], multipliers: Sequence[tirx.Expr]) -> tirx.Expr:
        """uint8x64: a pixel's 64 channels, from its row in four tiles."""
        q = [_rounded(*one) for one in zip(sums, multipliers, strict=True)]
        return self._clamped(self._packed(self._words(*q[:2]), self._words(*q[2:])))

    def three_tiles(self, sums: Sequence[tirx.Expr], multipliers: Sequence[tirx.Expr]) -> tirx.Expr:
        """uint8x64: a pixel's 48 channels, from its row in three tiles, and zeros."""
        *pair, third = [_rounded(*one) for one in zip(sums, multipliers, strict=True)]
        # The low halves of the third's lanes; the high ones are cleared.
        words = tirx.reinterpret("int32x16", third) & _all(0xFFFF, "int32x16")
        packed = self._packed(self._words(*pair), tirx.reinterpret("int16x32", words))
        return self._clamped(x86("int8x64", "permvar.qi.512", packed, self.pair_first))

    def two_pixels(
        self, sums: Sequence[Sequence[tirx.Expr]], multipliers: Sequence[tirx.Expr]
    ) -> tirx.Expr:
        """uint8x64: two pixels' 32 channels each, from their rows in two tiles."""
        words = [
            self._words(*(_rounded(*one) for one in zip(pixel, multipliers, strict=True)))
            for pixel in sums
        ]
        packed = tirx.reinterpret("int64x8", self._packed(*words))
        return self._clamped(x86("int64x8", "permvar.di.512", packed, self.by_quad))

    def four_pixels(self, sums: Sequence[tirx.Expr], multiplier: tirx.Expr) -> tirx.Expr:
        """uint8x64: four pixels' 16 channels each, from their rows in one tile."""
        q = [_rounded(one, multiplier) for one in sums]
        packed = self._packed(self._words(*q[:2]), self._words(*q[2:]))
        return self._clamped(x86("int8x64", "permvar.qi.512", packed, self.by_pixel))

    def _words(self, even: tirx.Expr, odd: tirx.Expr) -> tirx.Expr:
        """int16x32: the low halves of the lanes of both in turn."""
        shuffled = x86("int8x64", "pshuf.b.512", odd, self.swap)
        joined = tirx.Select(self.high < _all(0, "int8x64"), shuffled, even)
        return tirx.reinterpret("int16x32", joined)

    def _packed(self, low: tirx.Expr, high: tirx.Expr) -> tirx.Expr:
        """int8x64: words clamped to 0..255, eight of each in turn."""
        return x86("int8x64", "packuswb.512", low, high)

    def _clamped(self, packed: tirx.Expr) -> tirx.Expr:
        result = tirx.reinterpret("uint8x64", packed)
        if self.qmax == 255:
            return result
        return tirx.min(result, _all(self.qmax, "uint8x64"))


def _rounded(sums: tirx.Expr, multiplier: tirx.Expr) -> tirx.Expr:
    magic = _all(1.5 * 2**23, "float32x16")
    rounded = tirx.call_llvm_pure_intrin(
        "float32x16", "llvm.fma", sums.astype("float32x16"), multiplier, magic
    )
    return tirx.reinterpret("int8x64", rounded)


def _pixel_order(byte: tirx.Expr) -> tirx.Expr:
    """Of byte c of pixel p: lane c // 4, half p // 2, there the word c % 4 of both pixels."""

    def bits(shift: int, mask: int) -> tirx.Expr:
        return byte >> _all(shift, "int8x64") & _all(mask, "int8x64")

    def at(value: tirx.Expr, shift: int) -> tirx.Expr:
        return value << _all(shift, "int8x64")

    return at(bits(2, 3), 4) | at(bits(5, 1), 3) | at(bits(0, 3), 1) | bits(4, 1)


def _pair_order(byte: tirx.Expr) -> tirx.Expr:
    """Of byte c: lane c // 8 of the pair's halves for c < 32, and lane (c - 32) // 4 of the third's
    even bytes for the next 16; of others, an odd byte there.
    """
    one, two, three, four = (_all(n, "int8x64") for n in (1, 2, 3, 4))
    pair = byte >> three << four | byte & _all(7, "int8x64")
    third = (byte >> two & three) << four | _all(8, "int8x64") | (byte & three) << one
    zero = third | byte >> four & one
    return tirx.Select(byte < _all(32, "int8x64"), pair, zero)


def opaque(dtype: str, vector: tirx.Expr) -> tirx.Expr:
    """`vector`, of which LLVM does not know that it is constant."""
    fence = tirx.call_llvm_pure_intrin(
        "float32x16", "llvm.arithmetic.fence", tirx.reinterpret("float32x16", vector)
    )
    return tirx.reinterpret(dtype, fence)


def x86(dtype: str, name: str, *operands: tirx.Expr) -> tirx.Expr:
    """One instruction of AVX-512, by the name of its intrinsic."""
    return tirx.call_llvm_pure_intrin(dtype, f"llvm.x86.avx512.{name}", *operands)


def _ramp(dtype: str, lanes: int) -> tirx.Expr:
    return tirx.Ramp(tirx.const(0, dtype), tirx.const(1, dtype), lanes)


def _all(value: float, dtype: str) -> tirx.Expr:
    return tirx.const(value, dtype)
