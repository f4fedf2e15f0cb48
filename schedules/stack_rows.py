"""The kernel of `StackRows`: 16 pixels at a time by permutations of bytes (AVX512_VBMI).

Of each row of the window 64 bytes are loaded, which hold 16 pixels and more. One `vpermb` a row and
vector brings them to their places in the 16 stacked pixels, which fill whole vectors; masks keep
what other rows put there. Towards the end of a row of the image a block starts early enough to end
with it, and so do the 64 bytes: nothing beyond the image is read.

LLVM would join two of these into `vpermi2b`, which is slower, so it must not see the indices
(`amx/requantize.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from schedules.amx.requantize import opaque, x86
from schedules.buffers import declare_parameters
from schedules.workloads.stack_rows import StackRows

INDICES = "int8x64"
PIXELS, BYTES = 16, 64
"""Of a block; of a vector."""


def can_stack_rows(width: int, channels: int) -> bool:
    """Whether there is a kernel for rows of `width` pixels."""
    return PIXELS * channels <= BYTES <= width * channels


def stack_rows(workload: StackRows) -> tirx.PrimFunc:
    """`workload` on the buffers of `workload.prim_func()`; `can_stack_rows` must hold."""
    function = workload.prim_func()
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        pixels, out = declare_parameters(function)
        row_bytes = workload.width * workload.channels
        whole = (row_bytes - BYTES) // (PIXELS * workload.channels) + 1
        last = [
            min(start, workload.width - PIXELS)
            for start in range(whole * PIXELS, workload.width, PIXELS)
        ]
        late = {start: max(start * workload.channels + BYTES - row_bytes, 0) for start in last}
        places = {bytes_: _places(workload, bytes_) for bytes_ in {0, *late.values()}}
        with T.serial(0, workload.height) as row:
            with T.serial(0, whole) as block:
                _block(workload, pixels, out, (row, block * PIXELS, 0), places[0])
            for start in last:
                at = (row, start, late[start])
                _block(workload, pixels, out, at, places[late[start]])
    return builder.get().with_attrs(dict((function.attrs or {}).items()))


@dataclass(frozen=True)
class _Places:
    """Where the bytes of one vector of a block come from; made once a kernel."""

    first: int
    """Byte of the block."""
    source: tirx.Var
    """Of each byte, the one that it is in what is loaded of its row."""
    row: tirx.Expr
    """Of each byte, the row of the window; behind them all for padding."""


def _places(workload: StackRows, late: int) -> list[_Places]:
    """Of all vectors of a block whose pixels begin at byte `late`."""
    channels, padded = workload.channels, workload.padded
    found = []
    for first in range(0, PIXELS * padded, BYTES):
        places = [divmod(first + byte, padded) for byte in range(BYTES)]
        source = [late + pixel * channels + c % channels for pixel, c in places]
        rows = [c // channels for _, c in places]
        found.append(_Places(first, T.bind(opaque(INDICES, _numbers(source))), _numbers(rows)))
    return found


def _numbers(values: Sequence[int]) -> tirx.Expr:
    """A vector of constants, each less than its lanes."""
    ramp = tirx.Ramp(tirx.const(0, "int8"), tirx.const(1, "int8"), BYTES)
    return tirx.Shuffle([ramp], list(values))


def _block(
    workload: StackRows,
    pixels: tirx.Buffer,
    out: tirx.Buffer,
    at: tuple[tirx.Expr, tirx.Expr | int, int],
    places: Sequence[_Places],
) -> None:
    """Store the block of pixels from a row and column on, which begins at byte `late` of what is
    loaded; `at` has all three.
    """
    row, column, late = at
    loaded = [
        T.bind(pixels.vload((row + r, 0, column * workload.channels - late), f"uint8x{BYTES}"))
        for r in range(workload.rows)
    ]
    for one in places:
        stacked = tirx.const(0, INDICES)
        for r, vector in enumerate(loaded):
            bytes_ = tirx.reinterpret(INDICES, vector)
            moved = x86(INDICES, "permvar.qi.512", bytes_, one.source)
            stacked = tirx.Select(one.row.equal(tirx.const(r, INDICES)), moved, stacked)
        pixel, c = divmod(one.first, workload.padded)
        lanes = tirx.Ramp(c, 1, BYTES)
        T.buffer_store(
            out, tirx.reinterpret(f"uint8x{BYTES}", stacked), (row, column + pixel, lanes)
        )
