"""Tensor intrinsics for the dot product of four uint8 and four int8, added to int32.

All direct integer kernels use one description, with A uint8 activations, B int8 weights, C int32
accumulators in registers: `C[lane] += sum over 4 of A[k] * B[lane, k]`. Each instruction set has
its own exact implementation:

* AVX-512 VNNI: `vpdpbusd` computes this, with 32-bit sums.
* AVX-512BW and AVX2: `vpmaddubsw` adds pairs of products in int16 and saturates beyond 32767, then
  `vpmaddwd` with ones adds pairs of those. Two products of 8-bit activations fit if the weights of
  equal sign in a pair have magnitudes of at most 128 together: 255 * 128 = 32640.
  `lprnet/compression/quantize/int16_pairs.py` ensures that, and
  `relay_passes/lowering/check_pair_sums.py` refuses other weights.
"""

from collections.abc import Sequence

from tvm import tirx
from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T

from schedules.isa import Dot4, Isa

GROUP = 4
"""Input channels that one instruction sums."""
VNNI = "llvm.x86.avx512.vpdpbusd.512"
MULTIPLY_ADD = {
    Dot4.AVX512BW: ("llvm.x86.avx512.pmaddubs.w.512", "llvm.x86.avx512.pmaddw.d.512"),
    Dot4.AVX2: ("llvm.x86.avx2.pmadd.ub.sw", "llvm.x86.avx2.pmadd.wd"),
}
"""The instructions for int8 to int16, and for int16 to int32."""


def _description(lanes: int) -> tirx.PrimFunc:
    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def dot4(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4,), "uint8", offset_factor=1)
        B = T.match_buffer(b, (lanes, 4), "int8", offset_factor=1)
        C = T.match_buffer(c, (lanes,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:4], B[0:lanes, 0:4])
            T.writes(C[0:lanes])
            for lane in range(lanes):
                for k in range(4):
                    with T.sblock("update"):
                        v_lane, v_k = T.axis.remap("SR", [lane, k])
                        C[v_lane] = C[v_lane] + T.cast(A[v_k], "int32") * T.cast(
                            B[v_lane, v_k], "int32"
                        )

    return dot4


def _vnni(lanes: int) -> tirx.PrimFunc:
    sums, weights = f"int32x{lanes}", f"int8x{4 * lanes}"

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def dot4_vnni(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4,), "uint8", offset_factor=1)
        B = T.match_buffer(b, (lanes, 4), "int8", offset_factor=1)
        C = T.match_buffer(c, (lanes,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:4], B[0:lanes, 0:4])
            T.writes(C[0:lanes])
            C[T.ramp(0, 1, lanes)] = T.call_llvm_pure_intrin(
                sums,
                VNNI,
                C[T.ramp(0, 1, lanes)],
                T.reinterpret(
                    weights, T.broadcast(T.reinterpret("int32", A.vload([0], "uint8x4")), lanes)
                ),
                B.vload([0, 0], weights),
            )

    return dot4_vnni


def _multiply_add(lanes: int, int8_to_int16: str, int16_to_int32: str) -> tirx.PrimFunc:
    sums, pair_sums, weights = f"int32x{lanes}", f"int16x{2 * lanes}", f"int8x{4 * lanes}"

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def dot4_multiply_add(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4,), "uint8", offset_factor=1)
        B = T.match_buffer(b, (lanes, 4), "int8", offset_factor=1)
        C = T.match_buffer(c, (lanes,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:4], B[0:lanes, 0:4])
            T.writes(C[0:lanes])
            C[T.ramp(0, 1, lanes)] = C[T.ramp(0, 1, lanes)] + T.call_llvm_pure_intrin(
                sums,
                int16_to_int32,
                T.call_llvm_pure_intrin(
                    pair_sums,
                    int8_to_int16,
                    T.reinterpret(
                        weights,
                        T.broadcast(T.reinterpret("int32", A.vload([0], "uint8x4")), lanes),
                    ),
                    B.vload([0, 0], weights),
                ),
                T.broadcast(T.int16(1), 2 * lanes),
            )

    return dot4_multiply_add


def dot4(isa: Isa) -> str:
    """The name of the intrinsic for `isa`. It is registered at the first call, because parsing all
    of them takes seconds.
    """
    name = f"lprnet.dot4.{isa.dot4.value}"
    if TensorIntrin.get(name, allow_missing=True) is None:
        lanes = isa.float_lanes
        if isa.dot4 is Dot4.AVX512_VNNI:
            implementation = _vnni(lanes)
        else:
            implementation = _multiply_add(lanes, *MULTIPLY_ADD[isa.dot4])
        TensorIntrin.register(name, _description(lanes), implementation)
    return name


def broadcast_group(buffer: tirx.Buffer, index: Sequence[tirx.Expr | int], lanes: int) -> tirx.Expr:
    """The four uint8 from `index` on in each of `lanes` lanes, the `inputs` of `dot4_of`."""
    four = buffer.vload(index, f"uint8x{GROUP}")
    every = tirx.Broadcast(tirx.reinterpret("int32", four), lanes)
    return tirx.reinterpret(f"int8x{GROUP * lanes}", every)


def dot4_of(isa: Isa, sums: tirx.Expr, inputs: tirx.Expr, weights: tirx.Expr) -> tirx.Expr:
    """What the intrinsic computes, for kernels that emit their vectors themselves: `sums` int32 of
    all lanes, plus in each lane the dot product of its four `inputs` uint8 and `weights` int8, both
    vectors of int8.
    """
    lanes = isa.float_lanes
    if isa.dot4 is Dot4.AVX512_VNNI:
        return tirx.call_llvm_pure_intrin(f"int32x{lanes}", VNNI, sums, inputs, weights)
    int8_to_int16, int16_to_int32 = MULTIPLY_ADD[isa.dot4]
    pairs = tirx.call_llvm_pure_intrin(f"int16x{2 * lanes}", int8_to_int16, inputs, weights)
    ones = tirx.const(1, f"int16x{2 * lanes}")
    return sums + tirx.call_llvm_pure_intrin(f"int32x{lanes}", int16_to_int32, pairs, ones)
