"""Weights stored without their zeros: a mask of the nonzero lanes, and the nonzero values.

A pruned layer is computed by its dense kernel, on weights that are expanded once a call. So
sparsity saves bytes; only channels that become empty save time. The reasons against a sparse
kernel:

XNNPACK computes sparsely (Elsen, Dukhan, Gale, Simonyan, "Fast Sparse ConvNets", CVPR 2020, section
3): CHW activations, vectors of pixels, and for each nonzero weight one load of an activation vector
and one FMA a vector. Two load ports feed at most two FMAs, less the loads of the weight, of its
offset, and of second cache lines when a window shifts a vector by a pixel. The dense kernels of
this package reach about 90 % of that peak, so a sparse kernel as good as XNNPACK's needs much lower
densities, and 1x1 layers as in its networks.

Global L1 pruning of 90 % of this network's weights removes mostly dead channels. Of the remaining
packed lanes 61 % are nonzero: 87 to 91 % in the wide early layers, which take half of the time, 51
to 60 % in the large later ones, and 31 to 41 % only in three layers with 4 % of the arithmetic. A
sparse kernel at peak would save 4.5 % of this network's time (depth-aware 1.8 %), and more than a
fifth of a layer's time in two small layers only. A prototype in C for AVX-512 (pixels transposed at
the start and the end, five or ten vectors of them in registers) ran the six most suitable layers at
0.45 to 0.76 of the dense kernels' speed on Ice Lake. Without the transposes it was faster in two of
them, by 4 us a plate.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from tvm import tirx
from tvm.script import tirx as T

from schedules.workloads.signature import Signature

LANES = 8
"""Weights for each byte of the mask; divides every block."""


@dataclass(frozen=True)
class ExpandWeight:
    """Nonzero values and masks to `out (blocks, KH, KW, channels, block)` float32.

    `values (nonzeros + 8,)` float32 are the nonzero weights in the order of `out`, then 8 arbitrary
    values; bit `l` of `masks (blocks * KH * KW * channels * block / 8,)` uint8 says
    whether lane `l` of eight is nonzero. The BMI2 instruction `pdep` turns a mask into the
    lanes' indices into the values: it deposits 0, 1, 2, ... in the bytes that are set.

    Its definition is its schedule: one loop over vectors of eight.
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
        """Shape of `out`."""
        return (self.blocks, self.kernel_height, self.kernel_width, self.channels, self.block)

    @property
    def name(self) -> str:
        return f"expand_{'x'.join(map(str, self.shape))}_{self.nonzeros}"

    @classmethod
    def candidates(cls, function: Signature) -> Iterator["ExpandWeight"]:
        """Every workload of this class that a function of this signature may compute."""
        if function.fits([1, 1, 5]):
            (values,), _, packed = function.shapes
            blocks, kernel_height, kernel_width, channels, block = packed
            yield cls(values - LANES, blocks, kernel_height, kernel_width, channels, block)

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
