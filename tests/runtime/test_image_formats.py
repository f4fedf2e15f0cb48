"""The still picture taken out of each kind of file: the same pixels, and nothing that crashes."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from lprnet.runtime.image_header import still_picture
from lprnet.runtime.image_io import read_image, resize
from lprnet.support.errors import UserError
from tests.conftest import PROJECT
from tests.runtime.image_files import Image, chunk, encode, picture

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ORIENTATION_6 = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)


def decode(content: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image.astype(np.uint8)


def pillow(image: PillowImage.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def rgb() -> PillowImage.Image:
    return PillowImage.fromarray(picture()[:, :, ::-1])


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(one + b"\0" * (len(one) % 2) for one in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("length", range(4))
def test_an_animated_png_with_a_broken_frame_ends_no_process(length: int, tmp_path: Path) -> None:
    """OpenCV 4.14 and 5.0 read the frame in front of its buffer: SIGSEGV."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    frame = struct.pack(">IIIIIHHBB", 0, 1, 1, 0, 0, 1, 10, 0, 0)
    content = SIGNATURE + chunk(b"IHDR", header) + chunk(b"acTL", struct.pack(">II", 2, 0))
    content += chunk(b"IDAT", zlib.compress(b"\0\x80")) + chunk(b"fcTL", frame)
    content += chunk(b"fdAT", bytes(length)) + chunk(b"IEND", b"")
    path = tmp_path / "animated.png"
    path.write_bytes(content)
    code = "import pathlib, sys; from lprnet.runtime.image_io import read_image; "
    code += "print(read_image(pathlib.Path(sys.argv[1])).mean())"
    result = subprocess.run(
        [sys.executable, "-c", code, path], cwd=PROJECT, capture_output=True, timeout=60, text=True
    )
    assert (result.returncode, result.stdout.strip()) == (0, "128.0"), result.stderr


ANCILLARY = {
    b"gAMA": struct.pack(">I", 100_000),
    b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    b"sRGB": b"\0",
    b"cICP": b"\x09\x10\0\1",
    b"sBIT": b"\3\3\3",
    b"bKGD": b"\0\1\0\2\0\3",
    b"tRNS": b"\0\1\0\2\0\3",
    b"iCCP": b"x\0\0" + zlib.compress(bytes(132)),
    b"pHYs": bytes(9),
    b"tIME": bytes(7),
    b"tEXt": b"Raw profile type exif\0\nexif\n      32\n" + ORIENTATION_6.hex().encode(),
    b"acTL": struct.pack(">II", 1, 0),
    b"fcTL": struct.pack(">IIIIIHHBB", 0, 94, 24, 0, 0, 1, 10, 0, 0),
    b"eXIf": ORIENTATION_6,
}


@pytest.mark.parametrize("kind", ANCILLARY)
def test_what_is_left_out_of_a_png_changes_no_pixel(kind: bytes) -> None:
    content = encode(".png", picture())
    position = content.index(b"IDAT") - 4
    content = content[:position] + chunk(kind, ANCILLARY[kind]) + content[position:]
    still = still_picture(content).content
    np.testing.assert_array_equal(decode(still), decode(content))
    assert (kind in still) == (kind in (b"tRNS", b"eXIf"))


@pytest.mark.parametrize("kind", ["PNG", "MPO", "TIFF"])
def test_the_first_of_many_pictures_is_read(kind: str, tmp_path: Path) -> None:
    other = [PillowImage.new("RGB", (94, 24), "red")]
    content = pillow(rgb(), kind, save_all=True, append_images=other)
    path = tmp_path / "x.png"
    path.write_bytes(content)
    expected = np.asarray(PillowImage.open(io.BytesIO(content)).convert("RGB"))[:, :, ::-1]
    np.testing.assert_allclose(read_image(path).astype(int), expected, atol=3)
    assert len(still_picture(content).content) < len(content) - 100


def test_an_animated_webp_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.webp"
    other = [PillowImage.new("RGB", (94, 24), "red")]
    path.write_bytes(pillow(rgb(), "WEBP", save_all=True, append_images=other))
    with pytest.raises(UserError, match=r"x\.webp is an animation, which is not read; save it as"):
        read_image(path)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "packbits"])
def test_a_tiff_equals_the_reference(mode: str, compression: str | None, tmp_path: Path) -> None:
    if mode == "I;16":
        image = PillowImage.fromarray(picture(channels=1)[:, :, 0].astype(np.uint16) * 257)
    else:
        image = rgb().convert(mode)
    content = pillow(image, "TIFF", compression=compression)
    path = tmp_path / "x.tif"
    path.write_bytes(content)
    np.testing.assert_array_equal(read_image(path), decode(content))
    if mode in ("1", "L", "P", "RGB"):
        np.testing.assert_array_equal(read_image(path), np.asarray(image.convert("RGB"))[..., ::-1])


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 40}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_webp_equals_the_reference(mode: str, options: dict[str, int], tmp_path: Path) -> None:
    image = rgb().convert(mode)
    if mode == "RGBA":
        image.putalpha(PillowImage.fromarray(picture(channels=1)[:, :, 0]))
    content = pillow(image, "WEBP", exact=True, **options)
    path = tmp_path / "x.webp"
    path.write_bytes(content)
    np.testing.assert_array_equal(read_image(path), decode(content))
    if "lossless" in options:
        np.testing.assert_array_equal(read_image(path), np.asarray(image.convert("RGB"))[..., ::-1])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_is_kept(kind: str, orientation: int, tmp_path: Path) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    content = pillow(rgb(), kind, exif=exif)
    path = tmp_path / "x"
    path.write_bytes(content)
    np.testing.assert_array_equal(read_image(path), resize(decode(content)))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("more", [{}, {"exif": b"Exif\0\0" + ORIENTATION_6}])
def test_truncated_anywhere(kind: str, more: dict[str, bytes], tmp_path: Path) -> None:
    content = pillow(rgb(), kind, **more)
    for length in [*range(1, 60), *range(60, len(content), 97), len(content) - 1]:
        with pytest.raises(ValueError, match=r"truncated|is not a JPEG|holds no picture"):
            still_picture(content[:length])


@pytest.mark.parametrize("restarts", [0, 1])
def test_bytes_behind_what_is_left_out_of_a_jpeg_are_no_data(restarts: int) -> None:
    """A segment in a scan's data ends it: what follows is passed over, not decoded."""
    content = pillow(rgb(), "JPEG", quality=90, restart_marker_rows=restarts)
    middle = content.index(b"\xff\xda") + (len(content) - content.index(b"\xff\xda")) // 2
    for kind in (b"\xe5", b"\xfe"):
        damaged = content[:middle] + b"\xff" + kind + b"\0\x08words." + content[middle:]
        still = still_picture(damaged).content
        assert kind + b"\0\x08words." not in still
        np.testing.assert_array_equal(decode(still), decode(damaged))


def test_kinds_that_are_not_read() -> None:
    for content, message in (
        (pillow(rgb(), "TIFF", compression="jpeg"), "is a TIFF of compression 7"),
        (pillow(rgb().convert("LAB"), "TIFF"), "is a TIFF of other colours"),
        (pillow(rgb().convert("F"), "TIFF"), "is a TIFF of other colours"),
        (pillow(rgb(), "TIFF", big_tiff=True), "is a file of the format BigTIFF"),
        (pillow(rgb(), "AVIF"), "is a file of the format AVIF"),
        (pillow(rgb(), "JPEG2000"), "is a file of the format JPEG 2000"),
        (pillow(rgb(), "PDF"), "is a file of the format PDF"),
        (b"\0\0\0\x20ftypisom" + bytes(20), "is a file of the format HEIF or MP4"),
    ):
        with pytest.raises(ValueError, match=message):
            still_picture(content)


def test_damaged_webp_and_tiff() -> None:
    lossy, lossless = pillow(rgb(), "WEBP"), pillow(rgb(), "WEBP", lossless=True)
    canvas = b"VP8X\x0a\0\0\0" + bytes([0, 0, 0, 0, 93, 0, 0, 22, 0, 0])
    tiff = encode(".tiff", picture())
    rows = tiff.index(struct.pack("<HHI", 278, 3, 1)) + 8
    for content, message in (
        (riff(), "holds no picture"),
        (riff(canvas, lossy[12:]), "not the size of its canvas"),
        (lossy.replace(b"\x9d\x01\x2a", b"\0\0\0"), "no key frame"),
        (lossless.replace(b"\x2f", b"\x2e", 1), "no signature"),
        (riff(b"VP8 \xff\xff\0\0"), "truncated"),
        (tiff[:rows] + b"\1" + tiff[rows + 1 :], "strips are missing"),
        (tiff[:rows] + b"\0" + tiff[rows + 1 :], "no rows"),
        (b"II*\0\x08\0\0\0\0\0\0\0", "holds no picture"),
    ):
        with pytest.raises(ValueError, match=message):
            still_picture(content)


MODES = {
    "JPEG": ["L", "RGB", "CMYK"],
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "BMP": ["1", "L", "P", "RGB", "RGBA"],
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind in MODES for mode in MODES[kind]])
def test_every_kind_of_pixel_equals_the_reference(kind: str, mode: str, tmp_path: Path) -> None:
    deep = picture(channels=1)[:, :, 0].astype(np.uint16) * 257
    image = PillowImage.fromarray(deep) if mode == "I;16" else rgb().convert(mode)
    content = pillow(image, kind)
    path = tmp_path / "x"
    path.write_bytes(content)
    np.testing.assert_array_equal(read_image(path), decode(content))


@pytest.mark.parametrize(
    "masks", [(0x7C00, 0x3E0, 0x1F), (0xF800, 0x7E0, 0x1F)], ids=["555", "565"]
)
def test_a_bmp_of_16_bits(masks: tuple[int, int, int], tmp_path: Path) -> None:
    stored = np.random.default_rng(2).integers(0, 1 << 16, (24, 94), dtype=np.uint16)
    head = struct.pack("<IiiHHIIiiII", 40, 94, -24, 1, 16, 3, 0, 0, 0, 0, 0)
    pixels = struct.pack("<III", *masks) + stored.tobytes()
    path = tmp_path / "x.bmp"
    path.write_bytes(b"BM" + struct.pack("<IHHI", 66 + stored.nbytes, 0, 0, 66) + head + pixels)
    shifts = [mask.bit_length() - 8 for mask in masks]
    channels = [
        (stored & mask) >> shift if shift > 0 else (stored & mask) << -shift
        for mask, shift in zip(masks, shifts, strict=True)
    ]
    np.testing.assert_array_equal(read_image(path), np.stack(channels[::-1], axis=2))
