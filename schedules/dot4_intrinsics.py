"""Tensor intrinsics of our own: four unsigned bytes times four signed bytes, summed into int32.

Direct integer kernels share one description, with A uint8 activations, B int8 weights, C int32
accumulators in registers: `C[lane] += sum over 4 of A[k] * B[lane, k]`. It has one implementation
an instruction set, all exact:

* AVX-512 VNNI: `vpdpbusd` does just that, with 32-bit sums.
* AVX-512BW and AVX2: `vpmaddubsw` adds pairs of products in 16 bits and would saturate beyond
  32767, then `vpmaddwd` by ones adds pairs of those. Two products of 8-bit activations fit where
  the weights of one sign in a pair make up at most 128 together: 255 * 128 = 32640.
  `lprnet/compression/quantize/int16_pairs.py` keeps to that, and
  `relay_passes/lowering/check_pair_sums.py` refuses what would not.
"""

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
"""Bytes to words, words to sums."""


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


def _multiply_add(lanes: int, bytes_to_words: str, words_to_sums: str) -> tirx.PrimFunc:
    sums, words, weights = f"int32x{lanes}", f"int16x{2 * lanes}", f"int8x{4 * lanes}"

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
                words_to_sums,
                T.call_llvm_pure_intrin(
                    words,
                    bytes_to_words,
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
    """The name of the intrinsic for `isa`, which is registered under it when first asked for:
    parsing them all would cost every script that imports this seconds.
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
