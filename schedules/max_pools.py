"""Max pools of 3x3 windows.

Loads limit these kernels, then the maxima. So:

1. The columns go by once: the maxima of the last columns stay in registers, and each column is
   loaded once for a row of outputs. With windows one column apart, two outputs share the maximum of
   two columns.
2. With windows one row and several columns apart, two rows of outputs at a time share rows of the
   input: of a column's four values, the maximum of the middle two serves both. That is four loads
   and three maxima for two outputs, where one row at a time takes six and four: 0.66 to 0.9 of the
   time (Zen 5). Where vectors fill whole cache lines the caches are the limit, and with windows one
   column apart the stores: there it is slower.
3. A vector that fills whole cache lines goes over the whole image before the next one does: the
   rows of it that windows share stay in L1. Other vectors of a pixel are taken together.
4. Where rows are read twice (`MaxPool.row_repeat`), two rows of outputs are equal, the maxima of
   two rows: they are computed once and stored twice.
5. Where the channels are not whole vectors, the last vector starts early enough to end with the
   last channel; what it computes twice is equal.

Each column is read before an output is written at its index, and no later step reads at the index
of an output, if no row is repeated. So the result may then overwrite the input, whose lines are in
L1, instead of using other memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from schedules.buffers import declare_parameters
from schedules.isa import Isa
from schedules.pools import CACHE_LINE
from schedules.workloads.float import MaxPool

TEMPORARIES = 4
"""Registers beside those that keep columns."""
_WINDOW = 3
_Rows = Sequence[tirx.Expr]
"""A value for each row of outputs."""


@dataclass(frozen=True)
class MaxPoolTile:
    """What of a max pool is computed together."""

    rows: int
    """Of outputs that differ."""
    vectors: int
    """Of channels, beside each other."""
    lanes: int

    def __str__(self) -> str:
        plural = "" if self.vectors == 1 else "s"
        rows = f"{self.rows} row{'' if self.rows == 1 else 's'}"
        return f"{rows} x {self.vectors} vector{plural}"


def max_pool_tile(workload: MaxPool, isa: Isa) -> MaxPoolTile:
    """The tile of `workload`, of two or more channels: two rows where that is faster, and registers
    hold the columns that are kept.
    """
    itemsize = np.dtype(workload.dtype).itemsize
    longest = isa.vector_bytes // itemsize
    lanes = min(longest, 1 << (workload.channels.bit_length() - 1))
    vectors = -(-workload.channels // lanes)
    fills_lines = lanes * itemsize % CACHE_LINE == 0
    if fills_lines and workload.channels % lanes == 0:
        vectors = 1
    fits = 2 * vectors * _columns_kept(workload) + TEMPORARIES <= isa.registers
    several = fits and workload.row_stride == 1 < workload.stride and not fills_lines
    return MaxPoolTile(2 if several else 1, vectors, lanes)


def max_pool(workload: MaxPool, tile: MaxPoolTile) -> tirx.PrimFunc:
    """`workload` by `tile`, on the buffers of `workload.prim_func()`."""
    function = workload.prim_func()
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        data, out = declare_parameters(function)
        width = tile.vectors * tile.lanes
        different = workload.height // workload.row_repeat
        pairs, single = divmod(different, tile.rows)
        with T.serial(0, -(-workload.channels // width)) as group:
            channel = T.bind(group * width)
            with T.serial(0, pairs) as pair:
                _Strip(workload, tile, tile.rows, data, out, channel).emit(pair * tile.rows)
            if single:
                row = tirx.const(different - 1, "int32")
                _Strip(workload, tile, 1, data, out, channel).emit(row)
    return builder.get().with_attrs(dict((function.attrs or {}).items()))


def _columns_kept(workload: MaxPool) -> int:
    """Columns of one window that the next one needs too."""
    return max(_WINDOW - workload.stride, 0)


class _Strip:
    """Emits some rows of outputs that differ, each as often as rows are repeated."""

    def __init__(
        self,
        workload: MaxPool,
        tile: MaxPoolTile,
        rows: int,
        data: tirx.Buffer,
        out: tirx.Buffer,
        channel: tirx.Expr,
    ) -> None:
        self.workload, self.tile, self.rows = workload, tile, rows
        self.data, self.out = data, out
        self.dtype = f"{workload.dtype}x{tile.lanes}"
        last = workload.channels - tile.lanes
        self.first = [
            channel + (min(v * tile.lanes, last) if tile.vectors > 1 else 0)
            for v in range(tile.vectors)
        ]
        self.kept = T.sblock_alloc_buffer(
            (tile.vectors, max(_columns_kept(workload), 1), rows, tile.lanes),
            workload.dtype,
            scope="local",
        )

    def emit(self, row: tirx.Expr) -> None:
        """The outputs of the rows from `row` on."""
        stride, width = self.workload.stride, self.workload.width
        for v in range(self.tile.vectors):
            for column in range(_columns_kept(self.workload)):
                self._keep(v, column, self._column(v, row, column))
        at_once = 2 if stride == 1 else 1
        with T.serial(0, width // at_once) as step:
            self._outputs(row, step * at_once, at_once)
        for column in range(width // at_once * at_once, width):
            self._outputs(row, tirx.const(column, "int32"), 1)

    def _outputs(self, row: tirx.Expr, column: tirx.Expr, count: int) -> None:
        """`count` outputs beside each other from `column` on, of all vectors; all columns that they
        read are read before the first is written.
        """
        stride, kept = self.workload.stride, _columns_kept(self.workload)
        results = []
        for v in range(self.tile.vectors):
            columns = [self._kept(v, n) for n in range(kept)]
            end = (count - 1) * stride + _WINDOW
            columns += [self._column(v, row, column * stride + n) for n in range(kept, end)]
            if count == 2:
                shared = self._both(columns[1], columns[2])
                results.append([self._both(columns[0], shared), self._both(shared, columns[3])])
            else:
                results.append([self._both(self._both(columns[0], columns[1]), columns[2])])
            for n in range(kept):
                self._keep(v, n, columns[count * stride + n])
        for first, outputs in zip(self.first, results, strict=True):
            lanes = tirx.Ramp(first, 1, self.tile.lanes)
            for n, rows in enumerate(outputs):
                for r, value in enumerate(rows):
                    for copy in range(self.workload.row_repeat):
                        at = (row + r) * self.workload.row_repeat + copy
                        T.buffer_store(self.out, value, (at, column + n, lanes))

    def _column(self, v: int, row: tirx.Expr, column: tirx.Expr | int) -> list[tirx.Expr]:
        """Of each row of outputs, the maximum of its values in `column`: three, or two that differ.
        Two rows of outputs are one row apart.
        """
        first = row * self.workload.row_stride
        read = self.rows + (_WINDOW if self.workload.row_repeat == 1 else 2) - 1
        values = [
            T.bind(self.data.vload((first + r, column, self.first[v]), self.dtype))
            for r in range(read)
        ]
        if self.workload.row_repeat > 1:
            return [T.bind(tirx.max(a, b)) for a, b in pairwise(values)]
        a, b, c, *d = values
        middle = T.bind(tirx.max(b, c))
        return [T.bind(tirx.max(outer, middle)) for outer in (a, *d)]

    def _both(self, left: _Rows, right: _Rows) -> list[tirx.Expr]:
        return [T.bind(tirx.max(a, b)) for a, b in zip(left, right, strict=True)]

    def _kept(self, v: int, n: int) -> list[tirx.Expr]:
        return [T.bind(self.kept.vload((v, n, r, 0), self.dtype)) for r in range(self.rows)]

    def _keep(self, v: int, n: int, values: _Rows) -> None:
        for r, value in enumerate(values):
            T.buffer_store(self.kept, value, (v, n, r, tirx.Ramp(0, 1, self.tile.lanes)))
