"""TIFF 6.0: a directory of numbered fields that says where strips of rows lie.

Of the many kinds of TIFF those are read that cameras, scanners and OpenCV write: strips of grey,
palette, RGB or CMYK samples, uncompressed or compressed by LZW, deflate or PackBits.
"""

import struct
from itertools import accumulate

from lprnet.runtime.image_formats.picture import (
    MAX_PARTS,
    TOO_MANY_PARTS,
    Picture,
    UnreadFormat,
)

ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
"""By signature: the byte order, as `struct` writes it."""
WIDTH, HEIGHT, BITS, COMPRESSION, COLOURS = 256, 257, 258, 259, 262
OFFSETS, SAMPLES, ROWS, COUNTS, PLANES, FORMAT = 273, 277, 278, 279, 284, 339
FILL_ORDER, ORIENTATION, PREDICTOR, PALETTE, EXTRA_SAMPLES = 266, 274, 317, 320, 338
TILES = frozenset({322, 323, 324, 325})
"""Size, offsets and lengths of tiles; decoders take these for those of strips."""
NEEDED = frozenset({WIDTH, HEIGHT, COLOURS, OFFSETS, COUNTS})
DEFAULTS = {BITS: 1, COMPRESSION: 1, SAMPLES: 1, ROWS: 0xFFFFFFFF, PLANES: 1, FORMAT: 1}
OPTIONAL = frozenset({FILL_ORDER, ORIENTATION, PREDICTOR, PALETTE, EXTRA_SAMPLES})
READ = NEEDED | DEFAULTS.keys() | OPTIONAL | TILES
LONG = frozenset({WIDTH, HEIGHT, OFFSETS, ROWS, COUNTS})
"""Fields written with 32 bits; the others have 16."""
TYPES = {1: "B", 3: "H", 4: "I"}

UNCOMPRESSED, UNSIGNED, SEPARATE, BY_PALETTE = 1, 1, 2, 3
"""Values of the fields compression, format (of a sample), planes and colours."""
COMPRESSIONS = frozenset({UNCOMPRESSED, 5, 8, 32773, 32946})
"""None, LZW, deflate (two numbers), PackBits."""
KINDS = {
    (0, 1): (1, 8, 16),
    (1, 1): (1, 8, 16),
    (1, 2): (8, 16),
    (2, 3): (8, 16),
    (2, 4): (8, 16),
    (BY_PALETTE, 1): (4, 8),
    (5, 4): (8,),
}
"""By colours (white is 0, black is 0, RGB, palette, CMYK) and samples a pixel: bits a sample."""
COST = 2
"""OpenCV decodes strips to 32 bits a pixel first."""


def still_tiff(content: bytes) -> Picture:
    """The picture of the first directory, in a file of its own.

    Raises `UnreadFormat` for a kind of TIFF that is not read and `ValueError` for strips that are
    not all there, are too many or overlap, and for a palette of another length than its pixels'
    numbers need, which OpenCV's decoder passes over.
    """
    order = ORDERS[content[:4]]
    fields = _fields(content, order)
    if TILES & fields.keys():
        raise UnreadFormat("is a TIFF of tiles")
    if not fields.keys() >= NEEDED:
        raise ValueError("holds no picture")
    width, height, bits, samples, compression, colours, planes = (
        fields[tag][0] for tag in (WIDTH, HEIGHT, BITS, SAMPLES, COMPRESSION, COLOURS, PLANES)
    )
    if compression not in COMPRESSIONS:
        raise UnreadFormat(f"is a TIFF of compression {compression}")
    same_bits = {*fields[BITS]} == {bits} and {*fields[FORMAT]} == {UNSIGNED}
    if bits not in KINDS.get((colours, samples), ()) or not same_bits:
        raise UnreadFormat("is a TIFF of other colours than grey, palette, RGB or CMYK in 8 bits")
    if colours == BY_PALETTE and len(fields.get(PALETTE, ())) != 3 << bits:
        raise ValueError("is damaged (its palette is not as long as its bits say)")
    rows = min(fields[ROWS][0], height)
    if not (width and rows):
        raise ValueError("is damaged (it has no rows)")
    planes = samples if planes == SEPARATE else 1
    strips = _strips(content, fields, planes * -(-height // rows))
    row_bytes = -(-width * bits * samples // planes // 8)
    if compression == UNCOMPRESSED and sum(map(len, strips)) < row_bytes * height * planes:
        raise ValueError("is truncated")
    still = _file(content[:4], order, fields | {ROWS: (rows,)}, strips)
    return Picture(width, height, still, COST * width * height)


def _fields(content: bytes, order: str) -> dict[int, tuple[int, ...]]:
    """The values of the fields that matter for pixels, each at least one; TIFF's defaults.

    Raises `ValueError` for one that comes twice, of which decoders take the first or the last, and
    for one that is no number, which some decoders pass over.
    """
    fields: dict[int, tuple[int, ...]] = {}
    (at,) = struct.unpack_from(f"{order}I", content, 4)
    (count,) = struct.unpack_from(f"{order}H", content, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, code, length = struct.unpack_from(f"{order}HHI", content, entry)
        if tag not in READ:
            continue
        if tag in fields:
            raise ValueError("is damaged (a field comes twice)")
        if code not in TYPES:
            raise ValueError("is damaged (a field is no number)")
        if not 0 < length <= MAX_PARTS:
            raise ValueError(TOO_MANY_PARTS if length else "is damaged (a field is empty)")
        kind = f"{order}{length}{TYPES[code]}"
        where = entry + 8
        if struct.calcsize(kind) > 4:
            (where,) = struct.unpack_from(f"{order}I", content, where)
        fields[tag] = struct.unpack_from(kind, content, where)
    return {tag: (value,) for tag, value in DEFAULTS.items()} | fields


def _strips(content: bytes, fields: dict[int, tuple[int, ...]], count: int) -> list[memoryview]:
    """The `count` strips, each within the file, all together no longer than it.

    Of more than these, OpenCV takes the first and Pillow the last.
    """
    offsets, lengths = fields[OFFSETS], fields[COUNTS]
    if min(len(offsets), len(lengths)) < count:
        raise ValueError("is damaged (strips are missing)")
    if max(len(offsets), len(lengths)) > count:
        raise ValueError("is damaged (it has more strips than its rows need)")
    if any(at + length > len(content) for at, length in zip(offsets, lengths, strict=True)):
        raise ValueError("is truncated")
    if sum(lengths) > len(content):
        raise ValueError("is damaged (strips overlap)")
    view = memoryview(content)
    return [view[at : at + length] for at, length in zip(offsets, lengths, strict=True)]


def _file(
    signature: bytes, order: str, fields: dict[int, tuple[int, ...]], strips: list[memoryview]
) -> bytes:
    """Signature, strips, directory, then the values that have no room in it."""
    *offsets, strips_end = accumulate(map(len, strips), initial=8)
    fields = fields | {OFFSETS: tuple(offsets), COUNTS: tuple(map(len, strips))}
    directory_at = strips_end + strips_end % 2
    values_at = directory_at + 2 + 12 * len(fields) + 4
    entries, values = bytearray(), bytearray()
    for tag, numbers in sorted(fields.items()):
        code = 4 if tag in LONG else 3
        packed = struct.pack(f"{order}{len(numbers)}{TYPES[code]}", *numbers)
        entries += struct.pack(f"{order}HHI", tag, code, len(numbers))
        if len(packed) <= 4:
            entries += packed.ljust(4, b"\0")
        else:
            entries += struct.pack(f"{order}I", values_at + len(values))
            values += packed
    head = signature + struct.pack(f"{order}I", directory_at)
    directory = struct.pack(f"{order}H", len(fields)) + entries + bytes(4)
    return b"".join([head, *strips, bytes(strips_end % 2), directory, values])
