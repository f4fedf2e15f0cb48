"""PNG (ISO/IEC 15948, clause 5): a chain of chunks, each with a checksum."""

import struct
import zlib

from lprnet.runtime.image_formats.picture import MAX_PARTS, TOO_MANY_PARTS, Picture

SIGNATURE = b"\x89PNG\r\n\x1a\n"

CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
STILL = CRITICAL | {b"tRNS", b"eXIf"}
"""Chunks of a still picture: no others change what OpenCV decodes. Left out are the animation
(acTL, fcTL, fdAT), which has crashed it, and texts and profiles, which may inflate to gigabytes."""
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples a pixel, by colour type."""
MAX_EXIF = 65_535
"""Bytes of EXIF data, as many as a JPEG can hold; OpenCV's time grows with their square."""
INFLATE_RATIO = 1032
"""The most that deflate compresses (zlib, "Technical details")."""
UNCHECKED_INFLATE = 256 << 20
"""Bytes that are inflated in a fraction of a second, whether or not the picture needs them."""
PIECE = 1 << 14
"""Compressed bytes inflated at once, to at most 17 MB."""


def still_png(content: bytes) -> Picture:
    """The picture that every PNG reader shows; an animation's later frames are left out.

    Raises `ValueError` for a file that ends before IEND, a wrong checksum of a critical chunk, and
    pixel data that inflate to more than the picture.
    """
    if content[12:16] != b"IHDR":
        raise ValueError("holds no picture")
    width, height, bits, colour = struct.unpack_from(">IIBB", content, 16)
    kept, data = [memoryview(SIGNATURE)], list[memoryview]()
    view = memoryview(content)
    has_exif = False
    start, kind = len(SIGNATURE), b""
    for _ in range(MAX_PARTS):
        length, kind = struct.unpack_from(">I4s", content, start)
        (stored_sum,) = struct.unpack_from(">I", content, start + 8 + length)
        end = start + 12 + length
        if kind[:1].isupper():
            if zlib.crc32(view[start + 4 : end - 4]) != stored_sum:
                raise ValueError("is damaged (a checksum is wrong)")
            if kind not in CRITICAL:
                raise ValueError(f"is damaged (the chunk {kind.decode('latin-1')!r} is unknown)")
        if kind == b"eXIf" and length > MAX_EXIF:
            raise ValueError(f"has more than {MAX_EXIF:,} bytes of EXIF data")
        if kind == b"IDAT":
            data.append(view[start + 8 : end - 4])
        if kind in STILL and not (kind == b"eXIf" and has_exif):
            kept.append(view[start:end])
        has_exif = has_exif or kind == b"eXIf"
        if kind == b"IEND":
            break
        start = end
    else:
        raise ValueError(TOO_MANY_PARTS)
    row = (width * SAMPLES.get(colour, 4) * bits + 7) // 8 + 1
    # An interlaced picture has at most twice the filter bytes.
    _check_inflated(data, 2 * row * height)
    return Picture(width, height, b"".join(kept), width * height)


def _check_inflated(data: list[memoryview], most: int) -> None:
    """Raises `ValueError` if `data` inflate to more than `most` bytes: libpng inflates all that
    follows the picture as well, a gigabyte from each megabyte.
    """
    if sum(map(len, data)) * INFLATE_RATIO <= UNCHECKED_INFLATE:
        return
    inflate = zlib.decompressobj()
    count = 0
    for chunk in data:
        for start in range(0, len(chunk), PIECE):
            try:
                count += len(inflate.decompress(chunk[start : start + PIECE]))
            except zlib.error as error:
                raise ValueError("is damaged") from error
            if count > most:
                raise ValueError("is damaged (it has more pixel data than pixels)")
            if inflate.eof:
                return
