"""JPEG (ITU T.81, annex B): a chain of marker segments, entropy-coded data between them."""

import re
import struct

from lprnet.runtime.image_formats.picture import MAX_PARTS, TOO_MANY_PARTS, Picture

SIGNATURE = b"\xff\xd8\xff"

MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")
"""The start of a segment: neither a stuffed 0xFF, a marker without a length (TEM, restarts) nor a
fill byte."""
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The SOFn markers; the three left out are tables (DHT, JPG, DAC)."""
ARITHMETIC_FRAMES = frozenset(range(0xC9, 0xD0)) - {0xCC}
EOI, SOS = 0xD9, 0xDA
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
LOOKS = 64
"""Bytes 0xFF that are looked at one by one, which for a plate's ten or so takes a third of the time
of the expression; for as many as a large file may have it would take seconds."""
HEAD = struct.Struct(">HH").unpack_from
"""Of a segment: `MARKER`, and the length of what follows it."""

SCANS_A_PICTURE = 60
"""Scans without data that cost as much as the picture may; encoders make about ten scans."""
MIN_SCAN_PIXELS = 1 << 14
"""A scan of fewer pixels costs as much: its tables are built anew."""
BYTE_COST = 0.4
"""Of a byte of several scans, in pixels: measured on scans that refine every coefficient."""
ARITHMETIC_COST = 4
"""An estimate: arithmetic decoding against Huffman decoding."""


def _next_marker(content: bytes, start: int) -> int:
    """Where the first `MARKER` from `start` on is. Raises `ValueError` if there is none."""
    for _ in range(LOOKS):
        start = content.find(b"\xff", start)
        if start < 0:
            raise ValueError("is truncated")
        if content[start + 1] in STARTS:  # an IndexError says the same
            return start
        start += 1
    found = MARKER.search(content, start)
    if found is None:
        raise ValueError("is truncated")
    return found.start()


def still_jpeg(content: bytes) -> Picture:
    """The first picture in `content`: what follows it (MPO) is left out.

    Raises `ValueError` for a file without a frame or that ends before its end-of-image marker.
    """
    size, scans, arithmetic, has_exif = None, 0, False, False
    kept, kept_from = [], 0
    start = 2
    for _ in range(MAX_PARTS):
        try:
            marker, length = HEAD(content, start)
        except struct.error:  # fewer than four bytes: the end of the image, or of the file
            marker = 0
        kind = KINDS.get(marker)
        if kind is None:
            start = _next_marker(content, start)
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
            rows = content[start + 5] << 8 | content[start + 6]
            columns = content[start + 7] << 8 | content[start + 8]
            size = (columns, rows)
            arithmetic = marker & 0xFF in ARITHMETIC_FRAMES
        elif kind == SCAN:
            scans += 1
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
