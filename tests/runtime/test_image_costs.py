"""Small files that would take minutes or gigabytes: refused before anything is decoded."""

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from lprnet.runtime.image_formats.picture import MAX_PARTS
from lprnet.runtime.image_header import still_picture
from lprnet.runtime.image_io import decode_image
from lprnet.support.errors import UserError
from tests.conftest import PROJECT
from tests.runtime.image_files import chunk, encode, picture, png

PEAK_KB = 300_000


def jpeg(mode: str = "L", **options: bool) -> bytes:
    file = io.BytesIO()
    PillowImage.new(mode, (94, 24)).save(file, "JPEG", **options)
    return file.getvalue()


def resized(content: bytes, width: int, height: int) -> bytes:
    """The JPEG `content` with another size in its header."""
    return content.replace(struct.pack(">HH", 24, 94), struct.pack(">HH", height, width), 1)


def with_scans(content: bytes, count: int) -> bytes:
    """The JPEG `content` with its last scan `count` times more."""
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * count + content[-2:]


def lossless_webp(width: int, height: int) -> bytes:
    content = bytearray(cv2.imencode(".webp", picture(), [cv2.IMWRITE_WEBP_QUALITY, 101])[1])
    struct.pack_into("<I", content, 21, (width - 1) | (height - 1) << 14)
    return bytes(content)


def inflating_png() -> bytes:
    """Ten pixels, then 300 MB of zeros in the same stream."""
    deflate = zlib.compressobj(1)
    data = deflate.compress(bytes(31))
    for _ in range(300):
        data += deflate.compress(bytes(1 << 20))
    whole = png(10, 1, 8, 2, bytes(31))
    old = whole.index(b"IDAT") - 4
    return whole[:old] + chunk(b"IDAT", data + deflate.flush()) + chunk(b"IEND", b"")


def overlapping_tiff(strips: int) -> bytes:
    """One-row strips that are all the same 60 kB."""
    fields = [(256, 20_000), (257, strips), (258, 8), (259, 1), (262, 1), (278, 1)]
    at = 8 + 2 + 12 * (len(fields) + 2) + 4
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields]
    entries.insert(5, struct.pack("<HHII", 273, 4, strips, at))
    entries.append(struct.pack("<HHII", 279, 4, strips, at + 4 * strips))
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    values = struct.pack(f"<{2 * strips}I", *[8] * strips, *[60_000] * strips)
    return b"II*\0\x08\0\0\0" + directory + values + bytes(60_000)


TOO_COSTLY = {
    "500 scans": lambda: with_scans(resized(jpeg(progressive=True), 4000, 4000), 500),
    "65,000 scans of one pixel": lambda: with_scans(resized(jpeg(progressive=True), 1, 1), 65_000),
    "arithmetic": lambda: resized(jpeg(), 4000, 3000).replace(b"\xff\xc0", b"\xff\xc9"),
    "lossless WebP": lambda: lossless_webp(1024, 1024),
}
DAMAGED = {
    "more PNG data than pixels": (inflating_png, "more pixel data than pixels"),
    "EXIF data of a PNG": (
        lambda: png(1, 1, 8, 0, b"\0\0").replace(
            chunk(b"IEND", b""), chunk(b"eXIf", bytes(65_536)) + chunk(b"IEND", b"")
        ),
        "more than 65,535 bytes of EXIF",
    ),
    "strips that overlap": (lambda: overlapping_tiff(1000), "strips overlap"),
    "JPEG segments": (
        lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * MAX_PARTS + jpeg()[2:],
        "more than 65,536 parts",
    ),
    "PNG chunks": (
        lambda: png(1, 1, 8, 0, b"\0\0")[:33] + chunk(b"IDAT", b"") * MAX_PARTS,
        "more than 65,536 parts",
    ),
    "WebP chunks": (
        lambda: (
            b"RIFF" + struct.pack("<I", 8 * MAX_PARTS + 12) + b"WEBP" + b"abcd\0\0\0\0" * 65_537
        ),
        "more than 65,536 parts",
    ),
    "TIFF strips": (lambda: overlapping_tiff(MAX_PARTS + 1), "more than 65,536 parts"),
}


@pytest.mark.parametrize("case", TOO_COSTLY)
def test_costly_pictures_are_refused(case: str) -> None:
    content = TOO_COSTLY[case]()
    with pytest.raises(UserError, match=r"as long or as much memory to decode as [0-9,]+ pixels"):
        decode_image(content, "it")


@pytest.mark.parametrize("case", DAMAGED)
def test_parts_without_end_are_refused(case: str) -> None:
    make, message = DAMAGED[case]
    with pytest.raises(ValueError, match=message):
        still_picture(make())


def test_who_needs_more_pixels_can_say_so() -> None:
    content = encode(".png", picture(40, 60))
    with pytest.raises(UserError, match="has 60x40 pixels; .* at most 2,000"):
        decode_image(content, "it", max_pixels=2_000)
    assert decode_image(content, "it", max_pixels=2_400).shape == (24, 94, 3)
    scans = with_scans(jpeg(progressive=True), 500)
    with pytest.raises(UserError, match="to decode as"):
        decode_image(scans, "it", max_pixels=100_000)
    assert decode_image(scans, "it").shape == (24, 94, 3)


def test_only_the_first_exif_data_of_a_jpeg_are_kept() -> None:
    """OpenCV copies every text of every block, 0.02 s for each 64 kB."""
    block = b"\xff\xe1\xff\xff" + b"Exif\0\0II*\0" + bytes(65_523)
    content = jpeg()
    still = still_picture(content[:2] + block * 100 + content[2:]).content
    assert still.count(b"Exif") == 1
    assert len(still) < 2 * len(block)


def large_jpeg() -> bytes:
    file = io.BytesIO()
    PillowImage.new("CMYK", (4000, 4000)).save(file, "JPEG", progressive=True, subsampling=0)
    return file.getvalue()


def large_png() -> bytes:
    return png(4000, 4000, 16, 6, bytes(4000 * 32_001))


def large_tiff() -> bytes:
    image = np.zeros((4000, 2000, 4), np.uint16)
    options = [cv2.IMWRITE_TIFF_ROWSPERSTRIP, 4000, cv2.IMWRITE_TIFF_COMPRESSION, 8]
    return cv2.imencode(".tiff", image, options)[1].tobytes()


@pytest.mark.parametrize("make", [large_jpeg, large_png, large_tiff])
def test_the_largest_pictures_allowed_need_little_memory(
    make: Callable[[], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(make())
    code = (
        "import pathlib, sys; from lprnet.runtime.image_io import read_image; "
        "read_image(pathlib.Path(sys.argv[1])); "
        "print(pathlib.Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, path],
        cwd=PROJECT,
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert int(result.stdout) < PEAK_KB
