"""Images: equal to the reference reader on whole files, one sentence on everything else."""

import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from lprnet.model.published_lprnet import LPRNET_CHINA
from lprnet.runtime import image_file, image_io
from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.files_left_out import report_files_left_out
from lprnet.runtime.image_format import ImageFormat
from lprnet.runtime.image_header import still_picture
from lprnet.runtime.image_io import as_pixels, read_image, resize
from lprnet.runtime.image_paths import label_of, list_images
from lprnet.support.errors import UserError
from tests.conftest import RealData
from tests.runtime.image_files import Image, bmp, chunk, encode, oriented, picture, png

hostile = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def reference(path: Path) -> Image:
    image = cv2.imread(str(path))
    assert image is not None
    if image.shape[:2] != (24, 94):
        image = cv2.resize(image, (94, 24))
    return image.astype(np.uint8)


@pytest.mark.parametrize("size", [(24, 94), (1, 1), (48, 188), (300, 17), (23, 95)])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_equals_the_reference(suffix: str, size: tuple[int, int], tmp_path: Path) -> None:
    path = write(tmp_path / f"x{suffix}", encode(suffix, picture(*size)))
    image = read_image(path)
    assert image.shape == (24, 94, 3)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, reference(path))


def test_non_ascii_names(tmp_path: Path) -> None:
    path = write(tmp_path / "皖A12345 – é.png", encode(".png", picture()))
    np.testing.assert_array_equal(read_image(path), picture())


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = write(
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.png")), encode(".png", picture())
    )
    np.testing.assert_array_equal(read_image(path), picture())


def test_grey_is_repeated(tmp_path: Path) -> None:
    grey = picture(channels=1)
    for suffix in (".png", ".bmp"):
        image = read_image(write(tmp_path / f"x{suffix}", encode(suffix, grey)))
        np.testing.assert_array_equal(image, grey.repeat(3, axis=2))


def test_alpha_is_dropped(tmp_path: Path) -> None:
    transparent = np.dstack([picture(), np.zeros((24, 94), np.uint8)])
    image = read_image(write(tmp_path / "x.png", encode(".png", transparent)))
    np.testing.assert_array_equal(image, picture())


def test_sixteen_bits_keep_the_upper_eight(tmp_path: Path) -> None:
    deep = (picture().astype(np.uint16) * 256 + 200).astype(np.uint16)
    image = read_image(write(tmp_path / "x.png", encode(".png", deep)))
    np.testing.assert_array_equal(image, picture())


def test_grey_with_alpha_and_palette(tmp_path: Path) -> None:
    grey = picture(channels=1)
    rows = b"".join(b"\0" + b"".join(bytes([v, 9]) for v in row.ravel()) for row in grey)
    image = read_image(write(tmp_path / "ga.png", png(94, 24, 8, 4, rows)))
    np.testing.assert_array_equal(image, grey.repeat(3, axis=2))

    palette = np.random.default_rng(3).integers(0, 256, (256, 3), dtype=np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in grey)
    image = read_image(write(tmp_path / "p.png", png(94, 24, 8, 3, rows, palette.tobytes())))
    np.testing.assert_array_equal(image, palette[grey[:, :, 0]][:, :, ::-1])


@pytest.mark.parametrize("core", [False, True])
def test_both_bmp_headers(core: bool, tmp_path: Path) -> None:
    rows = b"".join(row.tobytes() + b"\0\0" for row in picture()[::-1])
    image = read_image(write(tmp_path / "x.bmp", bmp(94, 24, 24, rows, core=core)))
    np.testing.assert_array_equal(image, picture())


def test_bmp_from_the_top(tmp_path: Path) -> None:
    rows = b"".join(row.tobytes() + b"\0\0" for row in picture())
    image = read_image(write(tmp_path / "x.bmp", bmp(94, -24, 24, rows)))
    np.testing.assert_array_equal(image, picture())


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, None),
        (3, cv2.ROTATE_180),
        (6, cv2.ROTATE_90_CLOCKWISE),
        (8, cv2.ROTATE_90_COUNTERCLOCKWISE),
    ],
)
def test_exif_orientation_is_applied(orientation: int, turn: int | None, tmp_path: Path) -> None:
    jpeg = encode(".jpg", picture())
    path = write(tmp_path / "x.jpg", oriented(jpeg, orientation))
    plain = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert plain is not None
    expected = plain if turn is None else cv2.rotate(plain, turn)
    np.testing.assert_array_equal(read_image(path), resize(expected.astype(np.uint8)))
    np.testing.assert_array_equal(read_image(path), reference(path))


def test_real_images_equal_the_reference(real_data: RealData) -> None:
    paths = list_images([str(real_data.images)])
    assert len(paths) == 1000
    for path in paths[::20]:
        np.testing.assert_array_equal(read_image(path), reference(path))
        assert label_of(path) == path.stem


# ---- files that are not whole images


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_truncated_anywhere_is_an_error(
    suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = encode(suffix, picture())
    path = tmp_path / f"x{suffix}"
    for length in [*range(1, 60), *range(60, len(whole), 97), len(whole) - 2, len(whole) - 1]:
        with pytest.raises(UserError, match="truncated|is not a JPEG"):
            read_image(write(path, whole[:length]))
    assert capfd.readouterr() == ("", ""), "the decoder was not even asked"


def test_a_thumbnail_does_not_hide_a_truncated_jpeg(tmp_path: Path) -> None:
    thumbnail = encode(".jpg", picture(8, 16))
    jpeg = encode(".jpg", picture())
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    with_thumbnail = jpeg[:2] + segment + jpeg[2:]
    np.testing.assert_array_equal(
        read_image(write(tmp_path / "a.jpg", with_thumbnail)),
        read_image(write(tmp_path / "b.jpg", jpeg)),
    )
    with pytest.raises(UserError, match="truncated"):
        read_image(write(tmp_path / "a.jpg", with_thumbnail[:-200]))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_bytes_after_the_image_are_allowed(suffix: str, tmp_path: Path) -> None:
    whole = encode(suffix, picture())
    expected = read_image(write(tmp_path / f"x{suffix}", whole))
    np.testing.assert_array_equal(
        read_image(write(tmp_path / f"y{suffix}", whole + b"maker note")), expected
    )


def test_progressive_jpeg_with_restarts(tmp_path: Path) -> None:
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
    jpeg = cv2.imencode(".jpg", picture(48, 188), options)[1].tobytes()
    still = still_picture(jpeg)
    assert (still.width, still.height) == (188, 48)
    path = write(tmp_path / "x.jpg", jpeg)
    np.testing.assert_array_equal(read_image(path), reference(path))


def test_decompression_bombs_are_refused_unread(tmp_path: Path) -> None:
    for content in (
        png(60_000, 60_000, 8, 2, b""),
        bmp(1, 64_000_001, 0, b""),
        encode(".jpg", picture()).replace(struct.pack(">HH", 24, 94), b"\xff\xff\xff\xff", 1),
    ):
        with pytest.raises(UserError, match="at most 16,000,000"):
            read_image(write(tmp_path / "bomb", content))
    with pytest.raises(UserError, match="at least one pixel"):
        read_image(write(tmp_path / "empty.png", png(0, 5, 8, 2, b"")))
    huge = tmp_path / "huge.jpg"
    with huge.open("wb") as file:
        file.truncate(image_file.BYTES_A_PIXEL * image_io.MAX_PIXELS + 1)
    with pytest.raises(UserError, match="has more than 64,000,000 bytes"):
        read_image(huge)


WRONG = {
    "empty": (b"", "is empty"),
    "text": (b"not an image at all", "is not a JPEG, PNG, BMP, WebP or TIFF image"),
    "gif": (b"GIF89a" + bytes(50), "is a file of the format GIF, which is not read; save it as"),
    "avif": (b"\0\0\0\x20ftypavif" + bytes(50), "is a file of the format AVIF, which is not"),
    "jpeg without a frame": (b"\xff\xd8\xff\xd9", "holds no picture"),
    "png without a header": (b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""), "truncated|no picture"),
    "png, damaged": (
        encode(".png", picture()).replace(b"IDAT", b"IDAU", 1),
        "damaged",
    ),
    "png, short pixels": (png(94, 24, 8, 2, bytes(300)), "is damaged"),
    "png, impossible depth": (png(94, 24, 7, 2, bytes(24 * 283)), "is damaged"),
    "bmp, negative width": (bmp(-94, 24, 24, bytes(24 * 284)), "is damaged"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files(case: str, tmp_path: Path) -> None:
    content, message = WRONG[case]
    path = write(tmp_path / "x.jpg", content)
    with pytest.raises(UserError, match=message) as caught:
        read_image(path)
    assert str(path) in str(caught.value)


def test_wrong_paths(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.jpg is missing"):
        read_image(tmp_path / "absent.jpg")
    with pytest.raises(UserError, match="is not a file"):
        read_image(tmp_path)
    with pytest.raises(UserError, match="File name too long"):
        read_image(tmp_path / ("x" * 300))
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    with pytest.raises(UserError, match=r"loop\.jpg"):
        read_image(tmp_path / "loop.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(UserError, match="is not a file"):
        read_image(tmp_path / "pipe.jpg")


@given(data=st.data(), suffix=st.sampled_from([".jpg", ".png", ".bmp"]))
@hostile
def test_damaged_bytes_never_escape(data: st.DataObject, suffix: str, tmp_path: Path) -> None:
    content = bytearray(encode(suffix, picture(8, 16)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        still = still_picture(bytes(content))
    except ValueError:
        return
    assume(still.width * still.height < 1_000_000)
    try:
        image = read_image(write(tmp_path / "x", bytes(content)))
    except UserError:
        return
    assert image.shape == (24, 94, 3)


STARTS = [
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"RIFF\0\0\0\0WEBP",
]


@given(start=st.sampled_from(STARTS), rest=st.binary())
@hostile
def test_any_bytes(start: bytes, rest: bytes) -> None:
    try:
        still = still_picture(start + rest)
    except ValueError:
        return
    assert min(still.width, still.height) >= 0


# ---- arrays, names, lists


def test_resize_wants_bgr_bytes() -> None:
    assert resize(picture()).shape == (24, 94, 3)
    wrong = (picture(channels=4), picture()[:, :, 0], picture()[:0], picture().astype(np.float32))
    for image in wrong:
        with pytest.raises(UserError, match="must be"):
            resize(image)  # type: ignore[arg-type]


def test_the_size_is_the_models() -> None:
    assert (LPRNET_CHINA.height, LPRNET_CHINA.width) == (image_io.HEIGHT, image_io.WIDTH)


def test_list_images(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "c.txt", "[1].bmp"):
        (tmp_path / name).touch()
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "d.jpeg").touch()
    directory = str(tmp_path)

    def names(*arguments: str) -> list[str]:
        return [path.name for path in list_images(arguments)]

    assert names(directory) == ["[1].bmp", "a.png", "b.JPG"]
    assert names(f"{directory}/*") == ["[1].bmp", "a.png", "b.JPG"]
    assert names(f"{directory}/**/*.jpeg") == ["d.jpeg"]
    assert names(f"{directory}/[1].bmp") == ["[1].bmp"], "a file comes before a pattern"
    assert names(f"{directory}/b.JPG", directory) == ["b.JPG", "[1].bmp", "a.png"]
    assert names(f"{directory}/absent.jpg", f"{directory}/c.txt") == ["absent.jpg", "c.txt"]
    assert names("x" * 5000) == ["x" * 5000]
    (tmp_path / "empty").mkdir()
    for wrong in (f"{directory}/empty", f"{directory}/*.gif", f"{directory}/*.txt"):
        with pytest.raises(UserError, match="holds no JPEG, PNG, BMP, WebP or TIFF"):
            list_images([wrong])


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("皖A12345.jpg", "皖A12345"),
        ("京AD12345-2.png", "京AD12345"),
        ("沪B1234F_7-3.bmp", "沪B1234F"),
    ],
)
def test_label_of(name: str, label: str) -> None:
    assert label_of(Path("some-where_else") / name) == label


@pytest.mark.parametrize(
    "name",
    ["photo.jpg", "-皖A12345.jpg", "皖A123a5.jpg", ".jpg", "025.jpg", "沪B1.jpg", "皖AI2345.png"],
)
def test_no_label(name: str) -> None:
    with pytest.raises(UserError, match="not named after its plate"):
        label_of(Path(name))


def test_hidden_files_of_a_folder_are_skipped(tmp_path: Path) -> None:
    """macOS leaves `._photo.jpg` beside each file that it copies; it is no image."""
    for name in ("._photo.jpg", ".hidden.png", "photo.jpg", "a.webp", "b.TIF"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images([str(tmp_path)])] == ["a.webp", "b.TIF", "photo.jpg"]
    hidden = tmp_path / ".hidden.png"
    assert list_images([str(hidden)]) == [hidden], "a file that is named is meant"


def test_files_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.jpg", ".DS_Store", "b.avif", "c.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    folder = str(tmp_path)
    report_files_left_out([folder, f"{folder}/c.txt", folder])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{folder}: 2 of its files are not named like")
    assert line.endswith("were left out: b.avif, c.txt")
    for number in range(7):
        (tmp_path / f"d{number}.txt").touch()
    report_files_left_out([folder])
    assert capsys.readouterr().err.endswith(": b.avif, c.txt, d0.txt, d1.txt, d2.txt and 4 more\n")


# ---- what the API takes


def test_as_pixels_takes_paths_bytes_and_arrays(tmp_path: Path) -> None:
    content = encode(".png", picture())
    path = write(tmp_path / "x.png", content)
    for image in (path, str(path), content, bytearray(content), memoryview(content), picture()):
        np.testing.assert_array_equal(as_pixels(image), picture())
    with pytest.raises(UserError, match="the encoded image is truncated"):
        as_pixels(content[:-20])
    with pytest.raises(UserError, match="the encoded image has more than 400 bytes"):
        as_pixels(content, max_pixels=100)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, r"not NoneType \(cv2\.imread returns None"),
        (PillowImage.new("RGB", (94, 24)), r"not Image \(of a PIL image: np\.asarray"),
        (7, "not int$"),
        ([1, 2], "not list$"),
        ("https://example.org/a.jpg", r"^https://example\.org/a\.jpg is a URL; download it"),
    ],
)
def test_as_pixels_refuses_the_rest(image: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        as_pixels(image)


def test_formats_of_other_networks() -> None:
    """Other sizes, grey and letterboxed, against OpenCV used by hand."""
    image = picture(40, 100)
    wide = resize(image, ImageFormat(32, 128))
    np.testing.assert_array_equal(wide, cv2.resize(image, (128, 32)))
    grey = resize(image, ImageFormat(24, 94, channels=1))
    expected = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (94, 24))[..., None]
    np.testing.assert_array_equal(grey, expected)
    np.testing.assert_array_equal(resize(grey, ImageFormat(24, 94, channels=1)), grey)
    boxed = resize(image, ImageFormat(24, 94, fit="letterbox", border=9))
    np.testing.assert_array_equal(boxed[:, 17:77], cv2.resize(image, (60, 24)))
    assert (boxed[:, :17] == 9).all()
    assert (boxed[:, 77:] == 9).all()


def test_labels_of_other_alphabets() -> None:
    alphabet = Alphabet("mine", ("A", "AB", "港", "-"), 3)
    assert alphabet.encode("ABA港") == (1, 0, 2)
    assert label_of(Path("AB港_1.png"), alphabet) == "AB港"
    with pytest.raises(UserError, match="'京' is no character of the alphabet mine"):
        label_of(Path("京A_1.png"), alphabet)
