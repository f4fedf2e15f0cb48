"""Weights stored without their zeros: which of eight lanes are not zero, and the values that are.

A pruned layer is computed by its dense kernel on weights expanded once a call. XNNPACK instead
computes sparsely (Elsen, Dukhan, Gale, Simonyan, "Fast Sparse ConvNets", CVPR 2020, section 3):
CHW activations, vectors of pixels, and for each nonzero weight one loaded activation vector and one
FMA a vector. Two load ports thus feed two FMAs at best, less the loads of the weight itself, of its
offset and of lines that vectors straddle where a window shifts them by a pixel; the dense kernels
here run near 90 % of that peak, so a sparse kernel as good as theirs needs densities well below
their ratio, and 1x1 layers as in their networks. Global L1 pruning of 90 % of this network's
weights takes mostly channels that were dead; of what is left, in packed lanes, 61 % are not zero:
87 to 91 % in the wide early layers that hold half of the time, 51 to 60 % in the large later ones,
31 to 41 % only in three layers that have 4 % of the arithmetic together. A sparse kernel at peak
would save 4.5 % of this network's time (depth-aware 1.8 %), more than a fifth of a layer's in two
small layers only. A prototype in C for AVX-512 (pixels transposed on the way in and out, five or
ten vectors of them in registers) ran the six layers that it suits best at 0.45 to 0.76 of the dense
kernels' speed on Ice Lake; without the transposes it won in two of them, 4 us a plate. So here
sparsity saves bytes, and channels that it empties save time.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from tvm import tirx
from tvm.script import tirx as T

LANES = 8
"""Weights that one byte of the mask stands for; divides every block."""


@dataclass(frozen=True)
class ExpandWeight:
    """Nonzero values and masks to `out (blocks, KH, KW, channels, block)` float32.

    `values (nonzeros + 8,)` float32 are the weights that are not zero, in the order of `out`, and 8
    that do not matter; bit `l` of `masks (blocks * KH * KW * channels * block / 8,)` uint8 says
    whether lane `l` of eight has one. The BMI2 instruction `pdep` turns a mask into the lanes'
    places among the values: it deposits 0, 1, 2, ... in the bytes that are set.

    It comes scheduled: one loop over vectors of eight, no choice in it.
    """

    family: ClassVar[str] = "expand_weight"
    nonzeros: int
    blocks: int
    kernel_height: int
    kernel_width: int
    channels: int
    block: int

    macs: ClassVar[int] = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of `out`."""
        return (self.blocks, self.kernel_height, self.kernel_width, self.channels, self.block)

    @property
    def name(self) -> str:
        return f"expand_{'x'.join(map(str, self.shape))}_{self.nonzeros}"

    def prim_func(self) -> tirx.PrimFunc:
        blocks, kernel_height, kernel_width, channels, block = self.shape
        vectors = block // LANES
        masks_count = blocks * kernel_height * kernel_width * channels * vectors
        values_count = self.nonzeros + LANES

        @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
        def expand(values_: T.handle, masks_: T.handle, out_: T.handle) -> None:
            values = T.match_buffer(values_, (values_count,), "float32")
            masks = T.match_buffer(masks_, (masks_count,), "uint8")
            out = T.match_buffer(out_, (blocks, kernel_height, kernel_width, channels, block))
            with T.sblock("root"):
                place = T.sblock_alloc_buffer((1,), "int32", scope="local")
                place[0] = 0
                for o, i, j, c, v in T.grid(blocks, kernel_height, kernel_width, channels, vectors):
                    with T.sblock("vector"):
                        T.reads(values[0:values_count], masks[0:masks_count], place[0])
                        T.writes(out[o, i, j, c, v * LANES : v * LANES + LANES], place[0])
                        mask = T.meta_var(
                            masks[
                                (((o * kernel_height + i) * kernel_width + j) * channels + c)
                                * vectors
                                + v
                            ]
                        )
                        set_bytes = T.meta_var(
                            T.call_llvm_pure_intrin(
                                "uint64",
                                "llvm.x86.bmi.pdep.64",
                                T.Cast("uint64", mask),
                                T.uint64(0x0101010101010101),
                            )
                            * T.uint64(255)
                        )
                        places = T.meta_var(
                            T.call_llvm_pure_intrin(
                                "uint64",
                                "llvm.x86.bmi.pdep.64",
                                T.uint64(0x0706050403020100),
                                set_bytes,
                            )
                        )
                        picked = T.meta_var(
                            T.call_llvm_pure_intrin(
                                "float32x8",
                                "llvm.x86.avx2.permps",
                                values.vload([place[0]], "float32x8"),
                                T.Cast("int32x8", T.reinterpret("int8x8", places)),
                            )
                        )
                        kept = T.meta_var(T.Cast("int32x8", T.reinterpret("int8x8", set_bytes)))
                        out[o, i, j, c, T.ramp(v * LANES, 1, LANES)] = T.reinterpret(
                            "float32x8", T.bitwise_and(T.reinterpret("int32x8", picked), kept)
                        )
                        place[0] = place[0] + T.popcount(T.Cast("int32", mask))

        return expand


def pack_nonzeros(weight: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """`ExpandWeight`'s values and masks of packed float32 weights."""
    flat = weight.astype(np.float32).reshape(-1)
    masks = np.packbits(flat != 0, bitorder="little")
    values = np.concatenate([flat[flat != 0], np.zeros(LANES, np.float32)])
    return values, masks
