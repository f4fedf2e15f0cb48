"""Headers that decoders read in two ways; those that contradict themselves are refused."""

import io
import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lprnet.runtime.image_header import still_picture
from lprnet.runtime.image_io import decode_picture
from tests.runtime.image_files import bmp, encode, picture


@pytest.mark.parametrize("core", [False, True])
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_a_bmp_with_pixels_of_colours_that_its_palette_lacks(bits: int, core: bool) -> None:
    """OpenCV makes them black and Pillow some grey. What fills a row up is no pixel."""
    width, colours = 9, min(1 << bits, 3)
    numbers = np.random.default_rng(0).integers(0, colours, (4, width))
    numbers[2, width - 1] = colours - 1

    def file(numbers: NDArray[np.int64], fill: int) -> bytes:
        digits = ["".join(f"{one:0{bits}b}" for one in row) for row in numbers.tolist()]
        rows = (int(row.ljust(-(-len(row) // 32) * 32, str(fill)), 2) for row in digits)
        pixels = b"".join(row.to_bytes(-(-width * bits // 32) * 4, "big") for row in rows)
        content = bmp(
            width, 4, bits, bytes(range(colours * (3 if core else 4))) + pixels, core=core
        )
        at = 14 + (12 if core else 40) + colours * (3 if core else 4)
        return content[:10] + struct.pack("<I", at) + content[14:]

    for fill in (0, 1):
        content = file(numbers, fill)
        assert still_picture(content).content == content
    numbers[2, width - 1] = colours
    if colours < 1 << bits:
        with pytest.raises(ValueError, match="its palette lacks colours"):
            still_picture(file(numbers, 0))


def test_a_bmp_whose_pixels_begin_within_its_header() -> None:
    """OpenCV reads the header as pixels; Pillow reads the pixels where the header ends."""
    content = encode(".bmp", picture())
    for at in (0, 14, 53):
        with pytest.raises(ValueError, match="begin within its header"):
            still_picture(content[:10] + struct.pack("<I", at) + content[14:])


@pytest.mark.parametrize(
    ("code", "tag", "message"),
    [
        (3, 262, "a field comes twice"),
        (13, 258, "a field is no number"),
        (3, 324, "is a TIFF of tiles"),
    ],
)
def test_a_tiff_with_a_field_that_decoders_read_in_two_ways(
    code: int, tag: int, message: str
) -> None:
    """Of `tag`, with another type or once more, in place of the resolution, which is not needed."""
    file = io.BytesIO()
    Image.fromarray(picture()[:, :, 0]).save(file, "TIFF", resolution=72)
    content = bytearray(file.getvalue())
    (at,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, at)
    places = {
        struct.unpack_from("<H", content, one)[0]: one
        for one in range(at + 2, at + 2 + 12 * count, 12)
    }
    place = places[282] if code == 3 else places[tag]
    struct.pack_into("<HHIHH", content, place, tag, code, 1, 0, 0)
    with pytest.raises(ValueError, match=message):
        still_picture(bytes(content))


WHOLE_PALETTE = struct.pack("<HHI", 320, 3, 3 * 256)
"""The start of its field."""


def tiff_by_palette(numbers: NDArray[np.uint8]) -> bytes:
    image, file = Image.fromarray(numbers), io.BytesIO()
    image.putpalette(bytes(3 * 256))
    image.save(file, "TIFF")
    return file.getvalue()


@pytest.mark.parametrize("length", [1, 48, 767, 769])
def test_a_tiff_with_a_palette_of_another_length(length: int) -> None:
    """OpenCV makes the numbers grey, and Pillow takes what colours there are."""
    content = tiff_by_palette(picture()[:, :, 0]) + bytes(4)
    assert content.count(WHOLE_PALETTE) == 1
    still_picture(content)
    none = struct.pack("<HHI", 305, 3, 768)
    for field in (struct.pack("<HHI", 320, 3, length), none):
        with pytest.raises(ValueError, match="palette is not as long as its bits say"):
            still_picture(content.replace(WHOLE_PALETTE, field))


@pytest.mark.parametrize("last", [255, 256])
def test_a_tiff_whose_palette_has_8_bits(last: int) -> None:
    """As old writers made them, by libtiff's rule: a number beyond 8 bits says that all have 16."""
    numbers = picture()[:, :, 0]
    content = bytearray(tiff_by_palette(numbers))
    (at,) = struct.unpack_from("<I", content, content.index(WHOLE_PALETTE) + 8)
    stored = np.random.default_rng(3).integers(0, 256, 3 * 256, dtype=np.uint16)
    stored[-1] = last
    content[at : at + stored.nbytes] = stored.tobytes()
    palette = (stored if last < 256 else stored >> 8).reshape(3, 256).T[:, ::-1]
    np.testing.assert_array_equal(decode_picture(bytes(content), "it"), palette[numbers])


@pytest.mark.parametrize(("offsets", "lengths"), [(2, 1), (1, 2), (2, 2)])
def test_a_tiff_of_more_strips_than_its_rows_need(offsets: int, lengths: int) -> None:
    """OpenCV takes the first and Pillow the last."""
    file = io.BytesIO()
    Image.fromarray(picture()[:, :, 0]).save(file, "TIFF")
    content = file.getvalue()
    for tag, count in ((273, offsets), (279, lengths)):
        once = struct.pack("<HHI", tag, 4, 1)
        assert content.count(once) == 1
        # Of two, the values' place is where the value was, which lies within the file.
        content = content.replace(once, struct.pack("<HHI", tag, 4, count))
    with pytest.raises(ValueError, match="more strips than its rows need"):
        still_picture(content)
