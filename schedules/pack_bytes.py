"""int32 sums to bytes on vectors: four vectors of sums become one of results.

A sum times its multiplier is rounded by one fused multiply-add, as `requantized` has it, but with
-1.5 * 2**23 and a negated multiplier: that leaves the result in the low 16 bits of its lane, and a
negative number in the high ones. `vpackuswb` clamps words of int16 to 0..255. So from the lanes it
takes the clamped results, and 0 from their high halves; from two such vectors, which are words
again, a second one takes the bytes. Four vectors of sums take 8 conversions and additions, 3
`vpackuswb` and a permutation, where clamping and narrowing each vector takes 24 instructions: four,
and `vpmovdb`, which is two. Measured, whole kernels take 0.80 to 0.98 of the time.

It is exact if each result fits int16 before it is clamped
(`relay_passes/lowering/check_int16_results.py`): the addend is even, so ties go to even.
"""

from collections.abc import Sequence

from tvm import tirx

JOINED = 4
"""Vectors of sums in a vector of bytes."""
QUAD = 4
"""32-bit lanes in 128 bits, within which `vpackuswb` joins two vectors."""
_PACK = {8: "llvm.x86.avx2.packuswb", 16: "llvm.x86.avx512.packuswb.512"}


def packed_bytes(
    sums: Sequence[tirx.Expr], multipliers: Sequence[tirx.Expr], qmax: int, lanes: int
) -> tirx.Expr:
    """`clamp(rint(float32(sum) * multiplier), 0, qmax)` as uint8, of at most `JOINED` vectors of
    `lanes` (8 or 16) int32 sums and their float32 multipliers, vector after vector.

    Always `JOINED * lanes` bytes: where vectors are missing, the last one is there again.
    """
    packed = packed_quads(sums, multipliers, qmax, lanes)
    quads = lanes // QUAD
    order = [JOINED * quad + vector for vector in range(JOINED) for quad in range(quads)]
    return tirx.reinterpret(f"uint8x{JOINED * lanes}", tirx.Shuffle([packed], order))


def packed_quads(
    sums: Sequence[tirx.Expr], multipliers: Sequence[tirx.Expr], qmax: int, lanes: int
) -> tirx.Expr:
    """The same in the order in which packing joins them, as `lanes` int32: lane `JOINED * n + v`
    has the results n * `QUAD` to n * `QUAD` + 3 of vector v.
    """
    rounded = [_rounded(*one, lanes) for one in zip(sums, multipliers, strict=True)]
    a, b, c, d = (*rounded, *rounded[-1:] * (JOINED - len(rounded)))
    packed = _packed(_packed(a, b, lanes), _packed(c, d, lanes), lanes)
    if qmax < 255:
        result = tirx.reinterpret(f"uint8x{JOINED * lanes}", packed)
        packed = tirx.min(result, tirx.const(qmax, f"uint8x{JOINED * lanes}"))
    return tirx.reinterpret(f"int32x{lanes}", packed)


def _rounded(total: tirx.Expr, multiplier: tirx.Expr, lanes: int) -> tirx.Expr:
    """int16, twice `lanes`: each result and a negative number."""
    real = f"float32x{lanes}"
    magic, negated = tirx.const(-1.5 * 2**23, real), multiplier * tirx.const(-1.0, real)
    rounded = tirx.call_llvm_pure_intrin(real, "llvm.fma", total.astype(real), negated, magic)
    return tirx.reinterpret(f"int16x{2 * lanes}", rounded)


def _packed(low: tirx.Expr, high: tirx.Expr, lanes: int) -> tirx.Expr:
    """The words of both, clamped to 0..255, as int16 in pairs."""
    packed = tirx.call_llvm_pure_intrin(f"int8x{4 * lanes}", _PACK[lanes], low, high)
    return tirx.reinterpret(f"int16x{2 * lanes}", packed)
