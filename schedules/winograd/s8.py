"""Exact Winograd convolution by products of bytes: F(2, 3) for 3x1 and 1x3 kernels with VNNI.

Two outputs of a filter g of three taps take four products instead of six (Lavin and Gray, "Fast
Algorithms for Convolutional Neural Networks", arXiv:1509.09308, section 4.1):

    y0 = u1 (d1 + d2) + u2 (d2 - d1) + u0 (d0 - d2),    u0 = g0,    u1 = (g0 + g1 + g2) / 2,
    y1 = u1 (d1 + d2) - u2 (d2 - d1) + u3 (d3 - d1),    u3 = g2,    u2 = (g0 - g1 + g2) / 2

Of inputs up to 127 the sums are bytes, and so are the differences plus 128. The `u` are whole where
g0 + g1 + g2 is even, and quantization sees to that (`even_filters.py`). So nothing is lost: a
kernel gives the bytes that the direct one gives, with two thirds of its `vpdpbusd`.

1. Transform the weights, and the biases: they make up for the 128 of the differences.
2. Of a row, or of two rows for 3x1, transform the inputs. LPRNet's stay in L1.
3. In a register tile, of each pair of outputs, sum what both share, u1 and u2. Their sum and their
   difference are where y0 and y1 go on, with u0 and u3.
4. Store as `packed_results.py` does.
"""

from collections.abc import Iterator

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from schedules.buffers import ConvBuffers, declare_parameters
from schedules.dot4_intrinsics import GROUP, broadcast_group, dot4_of
from schedules.isa import Isa
from schedules.packed_results import DENSE, PackedResults
from schedules.winograd.cook_toom import TAPS
from schedules.winograd.s8_tiles import INPUT_BYTES, OUTPUTS, PRODUCTS, ByteWinogradTile
from schedules.workloads.integer import QuantizedConv2d

_HALF = 128
"""What is added to a difference of bytes, so that it has no sign."""
_SUM, _DIFFERENCE, _FIRST, _LAST = 1, 2, 0, 3
"""The products, by the index of their `u`."""


def byte_winograd_conv2d(
    workload: QuantizedConv2d, tile: ByteWinogradTile, isa: Isa
) -> tirx.PrimFunc:
    """`workload` by a `tile` of `legal_byte_winograd_tiles`, on the buffers of
    `workload.prim_func()`.
    """
    function = workload.prim_func()
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        kernel = _Kernel(workload, tile, isa, ConvBuffers(*declare_parameters(function)))
        kernel.transform_weights()
        with T.serial(0, kernel.strips) as strip:
            kernel.transform_inputs(strip)
            with (
                T.serial(0, kernel.vectors // tile.vectors) as block,
                T.serial(0, -(-kernel.pairs // tile.pairs)) as part,
            ):
                first = T.bind(tirx.min(part * tile.pairs, kernel.pairs - tile.pairs))
                kernel.emit_tile(strip, block, first)
    return builder.get().with_attrs({**dict(function.attrs.items()), DENSE: True})


class _Kernel:
    """Emits one kernel into the function that is being built."""

    def __init__(
        self, workload: QuantizedConv2d, tile: ByteWinogradTile, isa: Isa, buffers: ConvBuffers
    ) -> None:
        self.workload, self.tile, self.isa, self.lanes = workload, tile, isa, isa.float_lanes
        self.data, self.weight, self.bias, multiplier, out = buffers
        self.results = PackedResults(workload, isa, multiplier, out)
        self.vertical = workload.kernel_height == TAPS
        height, width = workload.height, workload.width
        self.strips = height // OUTPUTS if self.vertical else height
        self.pairs = width if self.vertical else width // OUTPUTS
        self.groups = workload.channels // GROUP
        self.vectors = workload.padded_channels // self.lanes
        self.ints, self.bytes = f"int32x{self.lanes}", f"int8x{GROUP * self.lanes}"
        self.u = T.sblock_alloc_buffer(
            (self.vectors, self.groups, PRODUCTS, GROUP * self.lanes), "int8"
        )
        self.starts = T.sblock_alloc_buffer((self.vectors, 2, self.lanes), "int32")
        self.v = T.sblock_alloc_buffer((self.pairs, PRODUCTS, workload.channels), "uint8")
        self.acc = T.sblock_alloc_buffer(
            (tile.pairs, OUTPUTS, tile.vectors, self.lanes), "int32", scope="local"
        )

    def transform_weights(self) -> None:
        """Stage 1. With `sums` the sums of each output's transformed weights, y0 is 128 (sums of u0
        and u2) too large and y1 128 (sums of u3 less those of u2); half the sum of both goes into
        what they share, and half their difference into what is added to one and taken from the
        other.
        """
        in_block = self.workload.block // self.lanes
        words = f"int16x{GROUP * self.lanes}"
        ones = tirx.const(1, self.bytes)
        sums = T.sblock_alloc_buffer((PRODUCTS, self.lanes), "int32", scope="local")
        with T.serial(0, self.vectors) as vector:
            for product in range(PRODUCTS):
                T.buffer_store(sums, tirx.const(0, self.ints), (product, self._span()))
            with T.serial(0, self.groups) as group:
                g0, g1, g2 = (
                    T.bind(self.weight.vload(at, self.bytes).astype(words))
                    for at in self._taps(vector // in_block, group, vector % in_block * self.lanes)
                )
                one = tirx.const(1, words)
                transformed = {
                    _FIRST: g0,
                    _SUM: (g0 + g1 + g2) >> one,
                    _DIFFERENCE: (g0 - g1 + g2) >> one,
                    _LAST: g2,
                }
                for product, wide in transformed.items():
                    narrow = T.bind(wide.astype(self.bytes))
                    T.buffer_store(
                        self.u, narrow, (vector, group, product, self._span(GROUP * self.lanes))
                    )
                    total = sums.vload((product, 0), self.ints)
                    added = dot4_of(self.isa, total, ones, narrow)
                    T.buffer_store(sums, added, (product, self._span()))
            first, difference, last = (
                T.bind(sums.vload((product, 0), self.ints))
                for product in (_FIRST, _DIFFERENCE, _LAST)
            )
            bias = self.bias.vload((vector * self.lanes,), self.ints)
            half, whole = (tirx.const(n, self.ints) for n in (_HALF // 2, _HALF))
            shared = bias - half * (first + last)
            apart = half * (last - first) - whole * difference
            T.buffer_store(self.starts, shared, (vector, 0, self._span()))
            T.buffer_store(self.starts, apart, (vector, 1, self._span()))

    def _taps(
        self, block: tirx.Expr, group: tirx.Var, channel: tirx.Expr
    ) -> Iterator[tuple[tirx.Expr | int, ...]]:
        """Where the three taps of a vector's weights are."""
        for k in range(TAPS):
            tap = (k, 0) if self.vertical else (0, k)
            yield (block, *tap, group, channel, 0)

    def transform_inputs(self, strip: tirx.Var) -> None:
        """Stage 2."""
        channels = self.workload.channels
        wide = min(INPUT_BYTES, 1 << (channels.bit_length() - 1))
        vector = f"uint8x{wide}"
        half = tirx.const(_HALF, vector)
        with T.serial(0, self.pairs) as pair:
            for start in range(0, channels, wide):
                channel = min(start, channels - wide)
                d0, d1, d2, d3 = (
                    T.bind(self.data.vload((*self._input(strip, pair, k), channel), vector))
                    for k in range(PRODUCTS)
                )
                transformed = {
                    _FIRST: d0 - d2 + half,
                    _SUM: d1 + d2,
                    _DIFFERENCE: d2 - d1 + half,
                    _LAST: d3 - d1 + half,
                }
                for product, value in transformed.items():
                    at = (pair, product, tirx.Ramp(channel, 1, wide))
                    T.buffer_store(self.v, value, at)

    def _input(self, strip: tirx.Var, pair: tirx.Var, offset: int) -> tuple[tirx.Expr, tirx.Expr]:
        """Row and column of the input `offset` along the axis from the first of `pair`."""
        if self.vertical:
            return strip * OUTPUTS + offset, pair
        return strip, pair * OUTPUTS + offset

    def emit_tile(self, strip: tirx.Var, block: tirx.Var, first: tirx.Var) -> None:
        """Stages 3 and 4 of the pairs from `first` on."""
        tile = self.tile
        sums = [(p, v) for p in range(tile.pairs) for v in range(tile.vectors)]
        for p, v in sums:
            for output in range(OUTPUTS):
                at = (block * tile.vectors + v, output, 0)
                self._store_sums((p, output, v), self.starts.vload(at, self.ints))
        self._multiply(block, first, (_SUM, _DIFFERENCE))
        for p, v in sums:
            shared = T.bind(self._sums((p, 0, v)))
            apart = T.bind(self._sums((p, 1, v)))
            self._store_sums((p, 0, v), shared + apart)
            self._store_sums((p, 1, v), shared - apart)
        self._multiply(block, first, (_FIRST, _LAST))
        channel = block * tile.vectors * self.lanes
        outputs, pairs, vectors = range(OUTPUTS), range(tile.pairs), range(tile.vectors)
        if self.vertical:
            start = strip * OUTPUTS, first
            places = {(o, p, v): (p, o, v) for o in outputs for p in pairs for v in vectors}
        else:
            start = strip, first * OUTPUTS
            places = {
                (0, OUTPUTS * p + o, v): (p, o, v) for p in pairs for o in outputs for v in vectors
            }
        of_places = [self._sums(at) for at in places.values()]
        self.results.store(list(places), of_places, start, channel)

    def _multiply(self, block: tirx.Var, first: tirx.Var, products: tuple[int, int]) -> None:
        """Add the first of `products` to the first sums of all pairs, the second to the second."""
        tile = self.tile
        with T.serial(0, self.groups) as group:
            for output, product in enumerate(products):
                weights = [
                    self.u.vload((block * tile.vectors + v, group, product, 0), self.bytes)
                    for v in range(tile.vectors)
                ]
                for p in range(tile.pairs):
                    where = (first + p, product, group * GROUP)
                    inputs = T.bind(broadcast_group(self.v, where, self.lanes))
                    for v in range(tile.vectors):
                        at = (p, output, v)
                        total = dot4_of(self.isa, self._sums(at), inputs, weights[v])
                        self._store_sums(at, total)

    def _span(self, lanes: int = 0) -> tirx.Expr:
        return tirx.Ramp(0, 1, lanes or self.lanes)

    def _sums(self, at: tuple[int, int, int]) -> tirx.Expr:
        """Of a pair, an output and a vector of the tile."""
        return self.acc.vload((*at, 0), self.ints)

    def _store_sums(self, at: tuple[int, int, int], value: tirx.Expr) -> None:
        T.buffer_store(self.acc, value, (*at, self._span()))
