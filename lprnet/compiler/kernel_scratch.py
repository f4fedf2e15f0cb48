"""Takes the scratch memory of a kernel out of the kernel.

Tiles that LLVM keeps in registers stay inside. Larger ones would be on the stack of the artifact's
caller, and a thread may have as little as 64 KB of stack.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod

import tvm
import tvm_ffi
from tvm import s_tir, tirx
from tvm.s_tir import transform

from lprnet.compiler.memory_plan import whole_lines

REGISTER_FILE = 32 * 64
"""Bytes in all vector registers of AVX-512, which has the most. A tile of accumulators fits; a
larger buffer is memory, whatever its scope says.
"""

_COMPACT = tvm.transform.Sequential(
    [
        transform.CanonicalizeLoop(),
        transform.LowerInitBlock(),
        transform.PlanAndUpdateBufferAllocationLocation(),
        transform.ConvertBlocksToOpaque(),
        transform.CompactBufferAllocation(),
    ]
)
"""The beginning of TVM's pipeline, until a buffer has the size of its tile."""


@dataclass(frozen=True)
class Kernel:
    """A kernel that does not allocate its scratch memory."""

    function: tirx.PrimFunc
    tensors: tuple[tirx.Buffer, ...]
    """Buffers that all its tiles share, for example transformed weights."""
    tiles: tuple[tirx.Buffer, ...]
    """Buffers that each tile writes and reads again."""


def expose_scratch(kernel: tirx.PrimFunc) -> Kernel:
    """Take the allocation of its scratch out of a kernel::

        with block("root"):
            u = alloc_buffer((4, 8, 64, 16))                       # global, for all tiles
            for tile in range(n):
                with block():
                    v = alloc_buffer((8, 6, 64), scope="local")    # 12 KB, for one tile
                    acc = alloc_buffer((6, 16), scope="local")     # 384 bytes: registers
        =>  the same without `u` and `v`; tensors (u,), tiles (v,)

    The size of a local buffer is what one iteration of the loops around its block needs. A kernel
    with only small local buffers keeps its blocks unchanged.
    """
    compact = _COMPACT(tvm.IRModule({"kernel": kernel}))["kernel"]
    tiles = [b for b in _allocated(compact, "local") if _bytes(b) > REGISTER_FILE]
    if tiles:
        kernel = compact
    tensors = _allocated(kernel, "global")

    def without_scratch(block: s_tir.SBlock) -> s_tir.SBlock:
        kept = [b for b in block.alloc_buffers if b not in tensors and b not in tiles]
        if len(kept) == len(block.alloc_buffers):
            return block
        return s_tir.SBlock(
            block.iter_vars,
            block.reads,
            block.writes,
            block.name_hint,
            block.body,
            block.init,
            kept,
            block.match_buffers,
            block.annotations,
        )

    body = tvm_ffi.structural_map(kernel.body, (s_tir.SBlock, without_scratch))
    return Kernel(kernel.with_body(body), tuple(tensors), tuple(tiles))


def offsets(buffers: Sequence[tirx.Buffer], start: int) -> list[int]:
    """Byte offsets of `buffers` one after another from `start` on, and of the end."""
    return list(accumulate((whole_lines(_bytes(buffer)) for buffer in buffers), initial=start))


def _allocated(kernel: tirx.PrimFunc, scope: str) -> list[tirx.Buffer]:
    """The buffers that the blocks of `kernel` allocate in `scope`."""
    found: list[tirx.Buffer] = []

    def collect(block: s_tir.SBlock) -> None:
        found.extend(buffer for buffer in block.alloc_buffers if buffer.scope() == scope)

    tvm_ffi.structural_walk(kernel.body, (s_tir.SBlock, collect))
    return found


def _bytes(buffer: tirx.Buffer) -> int:
    return prod(int(extent) for extent in buffer.shape) * int(buffer.dtype.itemsize)
