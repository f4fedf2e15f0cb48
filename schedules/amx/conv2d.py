"""Convolutions by tile registers, requantization or conversion to bfloat16 included.

Algorithm: an implicit matrix product. A tile of activations is the bytes of up to 16 neighbouring
pixels, read from the image with one pixel's channels as the stride; rows of a window are a run of
bytes there, so taps beside each other need no copies. Weights are packed as tiles. `conv_tiles.py`
chooses the tiles.

Spilling a tile of sums and making results of it (`results.py`) take longer than multiplying, so
they run beside the multiplication of later tiles. A unit is the tiles of sums that are multiplied
together. In each step of the pipeline, in this order of the program:

    multiply unit u | spill unit u - 1 to memory | results of unit u - 2 from there

finely interleaved, because out-of-order execution alone does not reach that far: a straight order
takes 17 to 19 ns a tile on a core that takes 11 to 12 this way (C, and LLVM with this order).

Statements are emitted one by one, not by a schedule's primitives: which register a tile is in
depends on the order, and no description of a tensor intrinsic can say that.

1. One pass over the pixels for each group of channels (`TileConv2d.groups`).
2. Configure the tiles; load up to two tiles of weights that stay, three if there are no others.
3. Two units an iteration: they have tiles and spill memory of their own where there are two tiles a
   unit. Units of four use the same tiles again, each spilled just before it is.
4. Store whole cache lines where the pixels lie side by side.
"""

from collections.abc import Callable
from functools import partial

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from schedules.amx import instructions as amx
from schedules.amx.conv_tiles import TileGroup, choose_tiles, pixels_at_once
from schedules.amx.requantize import Requantization
from schedules.amx.results import Bf16Results, Int8Results, Results
from schedules.buffers import declare_parameters
from schedules.dot4_intrinsics import GROUP
from schedules.workloads.bfloat16 import Bf16TileConv2d
from schedules.workloads.tile_conv import COLUMNS, TileConv2d

TILE_REGISTERS = "tile_registers"
"""Attribute of a scheduled function that uses them. The pixels of its first operand and of its
result must lie one after another, without other channels between.
"""
_ROW = 4 * COLUMNS
"""Bytes from one row of sums or weights to the next."""
_Statement = Callable[[], None]
_Piece = tuple[int, int]
"""Row of the window and part of it."""


def tile_conv2d(workload: TileConv2d | Bf16TileConv2d) -> tirx.PrimFunc:
    """`workload` on the buffers of `workload.prim_func()`."""
    function = workload.prim_func()
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        *operands, out = declare_parameters(function)
        configuration = T.sblock_alloc_buffer((8,), "int64")
        results: Results
        if isinstance(workload, TileConv2d):
            data, weight, bias, multiplier = operands
            results = Int8Results(Requantization.start(workload.qmax), multiplier)
        else:
            data, weight, bias = operands
            results = Bf16Results()
        for group in choose_tiles(workload):
            amx.configure(configuration, group.pixels, group.piece)
            _Pass(workload, group, results, (data, weight, bias, out)).emit()
        amx.release()
    return builder.get().with_attrs({**dict(function.attrs.items()), TILE_REGISTERS: True})


class _Pass:
    """Emits one pass into the function that is being built."""

    def __init__(
        self,
        workload: TileConv2d | Bf16TileConv2d,
        group: TileGroup,
        results: Results,
        buffers: tuple[tirx.Buffer, ...],
    ) -> None:
        self.workload, self.group, self.results = workload, group, results
        self.data, self.weight, self.bias, self.out = buffers
        self.at_once = pixels_at_once(group.tiles, workload.itemsize)
        self.sides = 2 if group.tiles == 1 else 1  # tiles of pixels in a unit
        self.sums = self.sides * group.tiles  # tiles of sums in a unit
        self.sets = len(amx.SUMS) // self.sums
        self.pixel_tiles = workload.height * group.columns
        self.units = -(-self.pixel_tiles // self.sides)
        self.spill = T.sblock_alloc_buffer((2, self.sums, group.pixels, COLUMNS), results.sums)
        self.vectors = results.of_group(group, group.tiles == workload.blocks)
        self.pieces = [
            (kh, part) for kh in range(workload.kernel_height) for part in range(group.pieces)
        ]
        used = [(piece, n) for piece in self.pieces for n in range(group.tiles)]
        free = (amx.WEIGHTS, *amx.RESIDENT)
        self.resident = dict(
            zip(used, free if len(used) <= len(free) else amx.RESIDENT, strict=False)
        )

    def emit(self) -> None:
        for (piece, n), tile in self.resident.items():
            amx.load(tile, self._weights(piece, n), _ROW)
        with T.serial(0, -(-self.units // 2) + 1) as pair:
            for parity in range(2):
                self._step(2 * pair + parity, parity)

    def _step(self, unit: tirx.Expr, parity: int) -> None:
        """Multiply `unit`, spill the one before, store the results of the one before that.

        Units before the first and after the last are those. So the first two steps store what is in
        memory as results of the first unit, which the third step overwrites; code that leaves it
        out would be twice as long.
        """
        products = self._multiply(unit, parity)
        stores = self._spill(1 - parity)
        results = self._store(unit - 2, parity)
        after: dict[int, list[_Statement]] = {n: [] for n in range(-1, len(products))}
        for n, statement in enumerate(stores):
            # Of one set of tiles, each is spilled before its next sums start.
            place = n * len(products) // len(stores) if self.sets > 1 else n - 1
            after[place].append(statement)
        for statement in after[-1]:
            statement()
        for n, statement in enumerate(products):
            statement()
            begin, end = (len(results) * m // len(products) for m in (n, n + 1))
            middle = (begin + end) // 2
            for piece in (*results[begin:middle], *after[n], *results[middle:end]):
                piece()

    def _multiply(self, unit: tirx.Expr, parity: int) -> list[_Statement]:
        """A statement for each product of tiles, with the loads that it needs."""
        pixels = [self._first_pixel(unit, side) for side in range(self.sides)]
        sums = amx.SUMS[parity % self.sets * self.sums :]
        return [
            partial(self._product, piece, n, side, sums[side + n], pixels[side])
            for piece in self.pieces
            for n in range(self.group.tiles)
            for side in range(self.sides)
        ]

    def _product(
        self, piece: _Piece, n: int, side: int, sums: int, pixel: tuple[tirx.Expr, tirx.Expr]
    ) -> None:
        if n == 0:
            amx.load(amx.INPUTS, self._inputs(piece, *pixel), self.workload.pixel_bytes)
        if piece == self.pieces[0]:
            amx.load(sums, T.address_of(self.bias[self.group.first + n, 0]), 0)
        weights = self.resident.get((piece, n), amx.WEIGHTS)
        if (piece, n) not in self.resident and side == 0:
            amx.load(weights, self._weights(piece, n), _ROW)
        amx.multiply(self.results.product, sums, amx.INPUTS, weights)

    def _spill(self, parity: int) -> list[_Statement]:
        """A statement for each tile of the sums of a unit of this parity."""
        sums = amx.SUMS[parity % self.sets * self.sums :]
        return [
            partial(amx.store, sums[n], T.address_of(self.spill[parity, n, 0, 0]), _ROW)
            for n in range(self.sums)
        ]

    def _store(self, unit: tirx.Expr, parity: int) -> list[_Statement]:
        """A statement for each `at_once` pixels of a spilled unit."""
        return [
            partial(self._store_pixels, side, first, parity, pixel)
            for side in range(self.sides)
            for pixel in [self._first_pixel(unit, side)]
            for first in range(0, self.group.pixels, self.at_once)
        ]

    def _store_pixels(
        self, side: int, first: int, parity: int, pixel: tuple[tirx.Expr, tirx.Expr]
    ) -> None:
        lanes = f"{self.results.sums}x{COLUMNS}"
        sums = [
            [
                self.spill.vload((parity, side + n, first + p, 0), lanes)
                for n in range(self.group.tiles)
            ]
            for p in range(self.at_once)
        ]
        row, column = pixel
        for p, channel, vector in self.vectors(sums):
            start = self.group.first * COLUMNS + channel
            at = (row, column + first + p, tirx.Ramp(start, 1, vector.ty.dtype.lanes))
            T.buffer_store(self.out, vector, at)

    def _first_pixel(self, unit: tirx.Expr, side: int) -> tuple[tirx.Expr, tirx.Expr]:
        """Row and column of the first pixel of a unit's tile."""
        columns, width = self.group.columns, self.workload.width
        tile = tirx.min(unit * self.sides + side, self.pixel_tiles - 1)
        tile = T.bind(tirx.max(tile, 0))
        last = width - self.group.pixels
        column = tirx.min(tile % columns * self.group.pixels, last)
        return T.bind(tile // columns), T.bind(column)

    def _inputs(self, piece: _Piece, row: tirx.Expr, column: tirx.Expr) -> tirx.Expr:
        kh, kw, byte = self._place(piece)
        first = row * self.workload.row_stride + kh
        return T.address_of(self.data[first, column + kw, byte // self.workload.itemsize])

    def _weights(self, piece: _Piece, n: int) -> tirx.Expr:
        kh, kw, byte = self._place(piece)
        return T.address_of(self.weight[self.group.first + n, kh, kw, byte // GROUP, 0, 0])

    def _place(self, piece: _Piece) -> tuple[int, int, int]:
        """Row and column of the window, and byte of the pixel there, where `piece` begins."""
        kh, part = piece
        kw, byte = divmod(part * self.group.piece, self.workload.pixel_bytes)
        return kh, kw, byte
