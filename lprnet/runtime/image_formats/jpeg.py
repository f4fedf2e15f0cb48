"""JPEG (ITU T.81, annex B): a chain of marker segments, entropy-coded data between them."""

import re

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

FRAME, SCAN, LEFT_OUT, END = range(4)
KINDS = {
    **dict.fromkeys(FRAMES, FRAME),
    **dict.fromkeys(IGNORED, LEFT_OUT),
    SOS: SCAN,
    EOI: END,
}
"""What is done with a segment, by its marker; others are kept."""
STARTS = frozenset(range(256)) - {0x00, 0x01, *range(0xD0, 0xD8), 0xFF}
"""The second bytes of `MARKER`. Most segments follow another directly, and looking at two bytes
takes less time than a search."""

SCANS_A_PICTURE = 60
"""Scans without data that cost as much as the picture may; encoders make about ten scans."""
MIN_SCAN_PIXELS = 1 << 14
"""A scan of fewer pixels costs as much: its tables are built anew."""
BYTE_COST = 0.4
"""Of a byte of several scans, in pixels: measured on scans that refine every coefficient."""
ARITHMETIC_COST = 4
"""An estimate: arithmetic decoding against Huffman decoding."""


def still_jpeg(content: bytes) -> Picture:
    """The first picture in `content`: what follows it (MPO) is left out.

    Raises `ValueError` for a file without a frame or that ends before its end-of-image marker.
    """
    size, scans, arithmetic, has_exif = None, 0, False, False
    kept, kept_from = [], 0
    position = 2
    for _ in range(MAX_PARTS):
        if content[position] == 0xFF and content[position + 1] in STARTS:
            start = position
        elif found := MARKER.search(content, position):
            start = found.start()
        else:
            raise ValueError("is truncated")
        marker, position = content[start + 1], start + 2
        kind = KINDS.get(marker)
        if kind == END:
            break
        length = content[position] << 8 | content[position + 1]
        if length < 2:
            raise ValueError("is damaged (the length of a segment is wrong)")
        if kind is None:
            position += length
            continue
        if kind == FRAME and size is None:
            rows = content[position + 3] << 8 | content[position + 4]
            columns = content[position + 5] << 8 | content[position + 6]
            size = (columns, rows)
            arithmetic = marker in ARITHMETIC_FRAMES
        elif kind == SCAN:
            scans += 1
        elif kind == LEFT_OUT:
            exif = marker == EXIF and content.startswith(b"Exif\0\0", position + 2)
            if exif and not has_exif:
                has_exif = True
            else:
                kept.append(content[kept_from:start])
                kept_from = position + length
        position += length
    else:
        raise ValueError(TOO_MANY_PARTS)
    if size is None:
        raise ValueError("holds no picture")
    kept.append(content[kept_from:position])
    cost = pixels = size[0] * size[1]
    if scans > 1 or arithmetic:
        in_scans = max(pixels, MIN_SCAN_PIXELS) * scans // SCANS_A_PICTURE
        cost = max(pixels, in_scans + int(BYTE_COST * position))
    return Picture(*size, b"".join(kept), cost * (ARITHMETIC_COST if arithmetic else 1))
