"""Average pools and window sums: each value is loaded once, and bytes are summed in 16 bits.

Loads and their conversions limit these kernels. So:

1. Neighbouring windows share columns where the stride is smaller than the window. Columns are
   summed in strips as wide as the greatest common divisor of both: a window is a whole number of
   strips, and starts at one. Every strip is summed over the window's rows once and kept in memory
   of some KB; a window adds its strips. Of 16x10 windows with stride 2, a value was loaded for
   five windows. Windows that share no column are a strip each.
2. A strip is summed row by row, with all vectors of channels beside each other in registers (in
   equal blocks where they do not fit), so that the bytes of a row are read one after another.
3. Sums of up to 257 bytes fit 16 bits: twice as many a vector as of 32 bits. Larger windows sum in
   32 bits, floats in float32.
4. Of bfloat16 in pairs of 32 bits, a shift leaves the even values as float32 and a mask the odd
   ones: two instructions for two vectors, where widening takes four. Sums are in that order.
5. Where the channels are not whole vectors, the last vector starts early enough to end with the
   last channel; what it computes twice is equal.

Integers are exact in any order. The order of floats is another one only where windows share
columns.
"""

import math
from dataclasses import dataclass

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from schedules.buffers import declare_parameters
from schedules.isa import Isa
from schedules.workloads.bfloat16 import BITS
from schedules.workloads.float import AveragePool
from schedules.workloads.integer import DequantizedAveragePool
from schedules.workloads.window_sums import CENTRE, MOST_SUMMED, SumPool

Pool = AveragePool | DequantizedAveragePool | SumPool


@dataclass(frozen=True)
class PoolTile:
    """What of a pool is summed together."""

    columns: int
    """Of a strip."""
    strips: int
    """That a window adds up."""
    vectors: int
    lanes: int
    """Channels of a vector."""
    dtype: str
    """Of a sum."""

    def __str__(self) -> str:
        shared = "" if self.strips == 1 else f", {self.strips} strips a window"
        return f"1x{self.columns} pixels x {self.vectors} vectors of {self.dtype}{shared}"


def pool_tile(workload: Pool, isa: Isa) -> PoolTile:
    """The strips and vectors of `workload`, of two or more channels, of bfloat16 four; two
    registers stay free.
    """
    (rows, columns), (_, stride) = workload.kernel, workload.stride
    dtype = "float32"
    if not isinstance(workload, AveragePool):
        dtype = "uint16" if rows * columns <= MOST_SUMMED else "int32"
    bits = isinstance(workload, AveragePool) and workload.dtype == BITS
    whole = isa.float_lanes * (2 if dtype == "uint16" or bits else 1)
    lanes = min(whole, 1 << (workload.channels.bit_length() - 1))
    vectors = math.ceil(workload.channels / lanes)
    blocks = math.ceil(vectors * (2 if bits else 1) / (isa.registers - 2))
    strip = math.gcd(columns, stride) if stride < columns else columns
    return PoolTile(strip, columns // strip, math.ceil(vectors / blocks), lanes, dtype)


def average_pool(workload: Pool, tile: PoolTile) -> tirx.PrimFunc:
    """`workload` by `tile`, on the buffers of `workload.prim_func()`."""
    function = workload.prim_func()
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        data, out = declare_parameters(function)
        _Kernel(workload, tile, data, out).emit()
    return builder.get().with_attrs(dict((function.attrs or {}).items()))


class _Kernel:
    """Emits one kernel into the function that is being built."""

    def __init__(self, workload: Pool, tile: PoolTile, data: tirx.Buffer, out: tirx.Buffer) -> None:
        self.workload, self.tile = workload, tile
        self.data, self.out = data, out
        self.bits = data.dtype == BITS
        width = tile.vectors * tile.lanes
        self.block = min(width, workload.channels)
        """Channels of a block; its last vector may overlap the one before."""
        self.first = [min(v * tile.lanes, self.block - tile.lanes) for v in range(tile.vectors)]
        self.sums = self._vectors((tile.vectors,), "local")

    def emit(self) -> None:
        tile, workload = self.tile, self.workload
        with T.serial(0, math.ceil(workload.channels / self.block)) as block:
            channel = T.bind(tirx.min(block * self.block, workload.channels - self.block))
            with T.serial(0, workload.height) as row:
                if tile.strips == 1:
                    with T.serial(0, workload.width) as column:
                        self.sum_strip(row, column * workload.stride[1], channel)
                        for v in range(tile.vectors):
                            self.store(self._load(self.sums, v), row, column, channel, v)
                else:
                    self.emit_windows(row, channel)

    def emit_windows(self, row: tirx.Expr, channel: tirx.Expr) -> None:
        """A row of windows that share their strips."""
        tile, workload = self.tile, self.workload
        step = workload.stride[1] // tile.columns
        strips = (workload.width - 1) * step + tile.strips
        kept = self._vectors((strips, tile.vectors), "global")
        with T.serial(0, strips) as strip:
            self.sum_strip(row, strip * tile.columns, channel)
            for v in range(tile.vectors):
                self._store(kept, self._load(self.sums, v), strip, v)
        with T.serial(0, workload.width) as column:
            for v in range(tile.vectors):
                total = self._load(kept, column * step, v)
                for strip in range(1, tile.strips):
                    total = total + self._load(kept, column * step + strip, v)
                self.store(total, row, column, channel, v)

    def sum_strip(self, row: tirx.Expr, column: tirx.Expr, channel: tirx.Expr) -> None:
        """`sums` of the rows of window `row` in the strip that starts at `column`."""
        tile, workload = self.tile, self.workload
        for v in range(tile.vectors):
            self._store(self.sums, tirx.const(0, f"{tile.dtype}x{tile.lanes}"), v)
        with T.serial(0, workload.kernel[0]) as i:
            for j in range(tile.columns):
                for v, first in enumerate(self.first):
                    at = (row * workload.stride[0] + i, column + j, channel + first)
                    value = self.data.vload(at, f"{self.data.dtype}x{tile.lanes}")
                    real = _halves(value, tile.lanes) if self.bits else self._as(value)
                    self._store(self.sums, self._load(self.sums, v) + real, v)

    def store(
        self, total: tirx.Expr, row: tirx.Expr, column: tirx.Expr, channel: tirx.Expr, v: int
    ) -> None:
        """The result of windows with the sum `total`."""
        lanes, (rows, columns) = self.tile.lanes, self.workload.kernel
        if isinstance(self.workload, SumPool):
            # Of 16 bits, `CENTRE` is the highest; without it a sum is a signed number.
            centred = total ^ tirx.const(CENTRE, f"uint16x{lanes}")
            self._store_results(
                tirx.reinterpret(f"int16x{lanes}", centred), row, column, channel, v
            )
            return
        scale = getattr(self.workload, "scale", 1.0)
        if self.tile.dtype == "uint16":
            total = total.astype(f"int32x{lanes}")
        means = total.astype(f"float32x{lanes}") * tirx.const(scale / (rows * columns), "float32")
        if self.bits:
            half = lanes // 2
            means = tirx.Shuffle([means], [c // 2 + c % 2 * half for c in range(lanes)])
        self._store_results(means, row, column, channel, v)

    def _store_results(
        self, results: tirx.Expr, row: tirx.Expr, column: tirx.Expr, channel: tirx.Expr, v: int
    ) -> None:
        lanes = tirx.Ramp(channel + self.first[v], 1, self.tile.lanes)
        T.buffer_store(self.out, results, (row, column, lanes))

    def _as(self, value: tirx.Expr) -> tirx.Expr:
        return value.astype(f"{self.tile.dtype}x{self.tile.lanes}")

    def _vectors(self, shape: tuple[int, ...], scope: str) -> tirx.Buffer:
        return T.sblock_alloc_buffer((*shape, self.tile.lanes), self.tile.dtype, scope=scope)

    def _load(self, buffer: tirx.Buffer, *at: tirx.Expr | int) -> tirx.Expr:
        return buffer.vload((*at, 0), f"{self.tile.dtype}x{self.tile.lanes}")

    def _store(self, buffer: tirx.Buffer, value: tirx.Expr, *at: tirx.Expr | int) -> None:
        T.buffer_store(buffer, value, (*at, tirx.Ramp(0, 1, self.tile.lanes)))


def _halves(bits: tirx.Expr, lanes: int) -> tirx.Expr:
    """float32 of bfloat16: the even lanes, then the odd ones."""
    half = lanes // 2
    pairs = tirx.reinterpret(f"uint32x{half}", bits)
    even = tirx.shift_left(pairs, tirx.const(16, f"uint32x{half}"))
    odd = tirx.bitwise_and(pairs, tirx.const(0xFFFF0000, f"uint32x{half}"))
    real = [tirx.reinterpret(f"float32x{half}", part) for part in (even, odd)]
    return tirx.Shuffle(real, list(range(lanes)))
