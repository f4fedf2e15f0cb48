"""Requantization of int32 sums in TIR, exact and without a rounding instruction."""

from tvm import te, tirx


def requantized(total: tirx.Expr, multiplier: tirx.Expr, qmax: int, lanes: int = 1) -> tirx.Expr:
    """`clamp(rint(float32(total) * multiplier), 0, qmax)` as uint8, `total` int32; the product
    is exact. All have `lanes` lanes.

    Between 2**23 and 2**24 float32 has whole numbers only. So one fused multiply-add of 2**23
    rounds the product to nearest, ties to even, and leaves the integer in the low bits. Clamping
    afterwards gives the same, because both bounds are integers. The FMA is explicit, so that the
    result does not depend on the compiler.
    """
    vector = "" if lanes == 1 else f"x{lanes}"
    real, integer = f"float32{vector}", f"int32{vector}"
    zero, highest = (tirx.const(float(2**23 + level), real) for level in (0, qmax))
    rounded = tirx.call_llvm_pure_intrin(real, "llvm.fma", total.astype(real), multiplier, zero)
    clamped = te.max(te.min(rounded, highest), zero)
    return tirx.reinterpret(integer, clamped).astype(f"uint8{vector}")
