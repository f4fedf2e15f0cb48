"""Tile instructions in TIR, one statement each (Intel 64 Software Developer's Manual, volume 2).

A tile register has up to 16 rows of up to 64 bytes. One `tdpbusd` computes, for all m and n,
`sums[m, n] += sum over k and i of a[m, 4k + i] * b[k, n, i]`: a uint8 activations, b int8 weights,
sums int32. `tdpbf16ps` does so with two bfloat16 in the place of four bytes and float32 sums: first
the products of one i over all k, each sum rounded, then the two sums of both i, then `sums`;
subnormal values count as zero. Numbers of tiles are part of an instruction, so nothing allocates
them: a kernel names each one.

LLVM keeps these statements, and the loads and stores among them, in the order in which TIR has
them, because the intrinsics are declared to touch any memory.
"""

from tvm import tirx
from tvm.script.ir_builder import tirx as T

TILE_ROWS, TILE_BYTES = 16, 64
"""Most rows of a tile, most bytes in a row."""
SUMS, INPUTS, WEIGHTS, RESIDENT = (0, 1, 2, 3), 4, 5, (6, 7)
"""Numbers of tiles: four of sums, one of activations, one of weights that are loaded where they are
used, two of weights that stay.
"""
INT8_PRODUCT, BF16_PRODUCT = "tdpbusd", "tdpbf16ps"
_PALETTE = 1


def load(tile: int, address: tirx.Expr, stride: int) -> None:
    """Load the rows at `address`, `stride` bytes apart; with a stride of 0 the same row again."""
    _emit("tileloadd64", tirx.const(tile, "uint8"), address, tirx.const(stride, "int64"))


def store(tile: int, address: tirx.Expr, stride: int) -> None:
    """Store the rows of `tile`, `stride` bytes apart."""
    _emit("tilestored64", tirx.const(tile, "uint8"), address, tirx.const(stride, "int64"))


def multiply(product: str, sums: int, inputs: int, weights: int) -> None:
    """Add the products of two tiles to the tile `sums` by the instruction `product`."""
    _emit(product, *(tirx.const(tile, "uint8") for tile in (sums, inputs, weights)))


def configure(memory: tirx.Buffer, pixels: int, piece: int) -> None:
    """Give all tiles their shapes: sums and activations `pixels` rows, the latter of `piece` bytes;
    weights `piece / 4` rows. `memory (8,)` int64 is where the configuration is put together.
    """
    rows, row_bytes = [pixels] * 8, [TILE_BYTES] * 8
    for tile in (WEIGHTS, *RESIDENT):
        rows[tile] = piece // 4
    row_bytes[INPUTS] = piece
    content = bytearray(64)
    content[0] = _PALETTE
    for tile in range(8):
        content[16 + 2 * tile] = row_bytes[tile]
        content[48 + tile] = rows[tile]
    for word in range(8):
        value = int.from_bytes(content[8 * word : 8 * word + 8], "little", signed=True)
        T.buffer_store(memory, tirx.const(value, "int64"), (word,))
    _emit("ldtilecfg", T.address_of(memory[0]))


def release() -> None:
    """Give the tiles back: the system saves them at each switch of threads until then."""
    _emit("tilerelease")


def _emit(name: str, *operands: tirx.Expr) -> None:
    T.evaluate(T.call_llvm_intrin("void", f"llvm.x86.{name}", *operands))
