"""The start of a JPEG that is as the last one's: what is known of it changes no answer."""

import io
import random

import pytest
from PIL import Image as PillowImage

from lprnet.runtime.image_formats.jpeg import still_jpeg
from lprnet.runtime.image_formats.picture import Picture


def encoded(width: int, height: int, **options: object) -> bytes:
    file = io.BytesIO()
    noise = PillowImage.effect_noise((width, height), 60)
    noise.save(file, "JPEG", **options)
    return file.getvalue()


OTHER_START = encoded(8, 8, quality=20)


def found(content: bytes) -> Picture | str:
    try:
        return still_jpeg(content)
    except ValueError as error:
        return str(error)
    except IndexError:
        return "is truncated"


def found_anew(content: bytes) -> Picture | str:
    """When the last start was that of another encoder's file."""
    still_jpeg(OTHER_START)
    return found(content)


def test_files_of_one_encoder_keep_their_own_sizes() -> None:
    sizes = [(94, 24), (24, 94), (1, 1), (300, 200), (94, 24)]
    pictures = [still_jpeg(encoded(*size)) for size in sizes]
    assert [(one.width, one.height) for one in pictures] == sizes


def test_a_size_beyond_every_bound_is_told_behind_a_known_start() -> None:
    content = encoded(94, 24)
    still_jpeg(content)
    frame = content.index(b"\xff\xc0")
    large = content[: frame + 5] + b"\xff\xff\xff\xff" + content[frame + 9 :]
    picture = still_jpeg(large)
    assert (picture.width, picture.height) == (65535, 65535)
    assert picture.cost == 65535 * 65535


@pytest.mark.parametrize(
    "more",
    [{}, {"progressive": True}, {"comment": b"words"}, {"exif": b"Exif\0\0II*\0" + bytes(20)}],
    ids=["plain", "progressive", "comment", "exif"],
)
def test_damaged_files_are_judged_as_without_a_known_start(more: dict[str, object]) -> None:
    """Bytes changed, taken out, doubled, cut off; each file behind a whole one of its encoder."""
    choose = random.Random(7)
    whole = encoded(94, 24, **more)
    scan = whole.index(b"\xff\xda")
    for _ in range(1500):
        damaged = bytearray(whole)
        for _ in range(choose.randint(1, 3)):
            at = choose.randrange(2, choose.choice((scan + 20, len(damaged))))
            how = choose.randrange(5)
            if how == 0:
                damaged[at:] = b""
            elif how == 1:
                del damaged[at : at + choose.randint(1, 20)]
            elif how == 2:
                damaged[at:at] = damaged[max(2, at - 20) : at]
            else:
                damaged[at : at + 1] = bytes([choose.choice((0, 7, 0xC0, 0xD9, 0xDA, 0xE1, 0xFF))])
            if len(damaged) < scan + 20:
                break
        content = bytes(damaged)
        expected = found_anew(content)
        assert found_anew(whole) == found(whole)
        assert found(content) == expected
        assert found(content) == expected, "its own start is the known one now"


def test_a_size_that_is_part_of_another_segment_is_not_left_open() -> None:
    """A frame of length 2 has its size behind it, where the next segment's length is."""
    tables = b"\xff\xdb\x00\x0a" + bytes(8)
    content = b"\xff\xd8\xff\xc0\x00\x02" + tables + b"\xff\xda\x00\x02\x01\xff\xd9"
    wrong = content.replace(b"\xff\xdb\x00\x0a", b"\xff\xdb\x00\x01")
    assert isinstance(found(content), Picture)
    assert found(wrong) == "is damaged (the length of a segment is wrong)"
