"""JPEG (ITU T.81, annex B): a chain of marker segments, entropy-coded data between them."""

import re
import struct
from typing import NamedTuple

from lprnet.runtime.image_formats.picture import MAX_PARTS, TOO_MANY_PARTS, Picture

SIGNATURE = b"\xff\xd8\xff"

MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")
"""The start of a segment: neither a stuffed 0xFF, a marker without a length (TEM, restarts) nor a
fill byte."""
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The SOFn markers; the three left out are tables (DHT, JPG, DAC)."""
ARITHMETIC_FRAMES = frozenset(range(0xC9, 0xD0)) - {0xCC}
EOI, SOS = 0xD9, 0xDA
EOI_BYTE = bytes([EOI])
EXIF = 0xE1
IGNORED = frozenset({*range(0xE1, 0xEE), 0xEF, 0xFE})
"""APP1 to APP15 and comments. APP0 and APP14 say how colours are stored, so they stay, and so does
the first APP1 with EXIF data."""

KEPT, FRAME, SCAN, LEFT_OUT, END = range(5)
STARTS = frozenset(range(256)) - {0x00, 0x01, *range(0xD0, 0xD8), 0xFF}
"""The second bytes of `MARKER`."""
KINDS = {
    0xFF00 | marker: kind
    for marker, kind in {
        **dict.fromkeys(STARTS, KEPT),
        **dict.fromkeys(FRAMES, FRAME),
        **dict.fromkeys(IGNORED, LEFT_OUT),
        SOS: SCAN,
        EOI: END,
    }.items()
}
"""What is done with a segment, by the two bytes of `MARKER`. Most segments follow another directly,
and looking there takes less time than a search."""
HEAD = struct.Struct(">HH").unpack_from
"""Of a segment: `MARKER`, and the length of what follows it."""

SIZE_AT, SIZE_BYTES = 5, 4
"""Where a frame has rows and columns."""
LONGEST_START = 4096
"""Bytes of a `_Start` that is kept."""

SCANS_A_PICTURE = 60
"""Scans without data that cost as much as the picture may; encoders make about ten scans."""
MIN_SCAN_PIXELS = 1 << 14
"""A scan of fewer pixels costs as much: its tables are built anew."""
BYTE_COST = 0.4
"""Of a byte of several scans, in pixels: measured on scans that refine every coefficient."""
ARITHMETIC_COST = 4
"""An estimate: arithmetic decoding against Huffman decoding."""


class _Start(NamedTuple):
    """A file up to the data of its first scan, its size left open: files of one encoder differ in
    nothing else there, so the segments of one are not walked through again for the next.
    """

    before: bytes
    """Up to the size."""
    behind: bytes
    """From the size on."""
    end: int
    """Where the data begins."""


_last_start = _Start(b"no JPEG begins so", b"", 0)


def _next_marker(content: bytes, start: int) -> int:
    """Where the first `MARKER` from `start` on is. Raises `ValueError` if there is none."""
    found = MARKER.search(content, start)
    if found is None:
        raise ValueError("is truncated")
    return found.start()


def _size(content: bytes, start: int) -> tuple[int, int]:
    """Width and height, which a frame has the other way round."""
    rows = content[start] << 8 | content[start + 1]
    columns = content[start + 2] << 8 | content[start + 3]
    return columns, rows


def still_jpeg(content: bytes) -> Picture:
    """The first picture in `content`: what follows it (MPO) is left out.

    Raises `ValueError` for a file without a frame or that ends before its end-of-image marker.
    """
    before, behind, end = _last_start
    if content.startswith(before) and content.startswith(behind, end - len(behind)):
        found = MARKER.search(content, end)
        if found is not None and found[1] == EOI_BYTE:
            width, height = _size(content, len(before))
            return Picture(width, height, content[: found.end()], width * height)
    return _walk(content)


def _walk(content: bytes) -> Picture:
    """`still_jpeg`, segment by segment."""
    global _last_start
    size, size_at, scans, arithmetic, has_exif = None, 0, 0, False, False
    kept: list[bytes] = []
    kept_from = 0
    start = 2
    for _ in range(MAX_PARTS):
        try:
            marker, length = HEAD(content, start)
        except struct.error:  # fewer than four bytes: the end of the image, or of the file
            marker = 0
        kind = KINDS.get(marker)
        if kind is None:
            marker_at = _next_marker(content, start)
            if kept_from == start:  # bytes behind a segment that is left out: of no scan either
                kept_from = marker_at
            start = marker_at
            marker = 0xFF00 | content[start + 1]
            kind = KINDS[marker]
            if kind != END:
                length = content[start + 2] << 8 | content[start + 3]
        if kind == END:
            break
        if length < 2:
            raise ValueError("is damaged (the length of a segment is wrong)")
        end = start + 2 + length
        if kind == FRAME and size is None:
            size = _size(content, start + SIZE_AT)
            size_at = start + SIZE_AT if length >= SIZE_AT - 2 + SIZE_BYTES else 0
            arithmetic = marker & 0xFF in ARITHMETIC_FRAMES
        elif kind == SCAN:
            scans += 1
            plain = size_at and not (arithmetic or kept or has_exif)
            if scans == 1 and plain and end <= min(len(content), LONGEST_START):
                behind = content[size_at + SIZE_BYTES : end]
                _last_start = _Start(content[:size_at], behind, end)
        elif kind == LEFT_OUT:
            exif = marker == 0xFF00 | EXIF and content.startswith(b"Exif\0\0", start + 4)
            if exif and not has_exif:
                has_exif = True
            else:
                kept.append(content[kept_from:start])
                kept_from = end
        start = end
    else:
        raise ValueError(TOO_MANY_PARTS)
    if size is None:
        raise ValueError("holds no picture")
    position = start + 2
    kept.append(content[kept_from:position])
    cost = pixels = size[0] * size[1]
    if scans > 1 or arithmetic:
        in_scans = max(pixels, MIN_SCAN_PIXELS) * scans // SCANS_A_PICTURE
        cost = max(pixels, in_scans + int(BYTE_COST * position))
    return Picture(*size, b"".join(kept), cost * (ARITHMETIC_COST if arithmetic else 1))
