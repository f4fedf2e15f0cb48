"""Tar files against Python's own reader: whole, in ranges, and damaged."""

import io
import tarfile
from pathlib import Path

import pytest

from lprnet.bulk import tar_input
from lprnet.bulk.tar_input import tar_ranges, tar_sources
from lprnet.runtime.source_reader import Source
from lprnet.support.errors import UserError

PIXELS = 1000


def write_tar(path: Path, form: int) -> list[Source]:
    """A tar of 60 images among other members; returns its images."""
    images = []
    with tarfile.open(path, "w", format=form) as tar:
        tar.addfile(member("folder", tarfile.DIRTYPE))
        for number in range(60):
            name = f"{'deep/' * (number % 30)}号{number}.jpg"
            content = bytes([number]) * (number * 37 % 1500)
            tar.addfile(member(name, size=len(content)), io.BytesIO(content))
            tar.addfile(member(f"{number}.json", size=3), io.BytesIO(b"{ }"))
            images.append(Source(f"{path}/{name}", content))
        tar.addfile(member("link.jpg", tarfile.SYMTYPE))
    return images


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info


def read(path: Path) -> list[Source]:
    return [one for piece in tar_ranges(str(path)) for one in tar_sources(piece, PIXELS)]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("split", [512, 4096, 20_000, 10**9])
def test_ranges_hold_every_member_once(
    form: int, split: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_input, "SPLIT_BYTES", split)
    images = write_tar(tmp_path / "a.tar", form)
    count = len(list(tar_ranges(str(tmp_path / "a.tar"))))
    assert count == 1 if split == 10**9 else count > 4
    assert read(tmp_path / "a.tar") == images


@pytest.mark.parametrize("split", [4096, 10**9])
def test_what_is_in_front_of_damage_is_read_and_the_rest_named(
    split: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_input, "SPLIT_BYTES", split)
    path = tmp_path / "a.tar"
    images = write_tar(path, tarfile.GNU_FORMAT)
    whole = path.read_bytes()
    header = whole.index("号15.jpg".encode()) // 512 * 512
    for damaged in (
        whole[: header + 512 + 100],
        whole[:header] + b"\xaa" * 512 + whole[header + 512 :],
        b"no tar at all" * 100,
    ):
        path.write_bytes(damaged)
        *found, last = read(path)
        assert last.error is not None
        assert last.name.startswith(str(path))
        assert found == images[: len(found)]
        assert len(found) == (0 if damaged[:2] == b"no" else 15)


def test_a_header_with_any_byte_changed_is_judged_as_by_tarfile(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in ("a.jpg", f"{'folder/' * 20}b.jpg"):
            tar.addfile(member(name, size=700), io.BytesIO(b"x" * 700))
    whole = path.read_bytes()
    header = 512 + 1024
    refused = 0
    for place in range(header, header + 512):
        for value in b"\x008\xff":
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                with tarfile.open(path) as tar:
                    expected = [(f"{path}/{one.name}", one.size) for one in tar.getmembers()]
            except tarfile.ReadError:
                expected = []
            found = [(one.name, len(one.content or b"")) for one in read(path) if not one.error]
            # What `tarfile` takes for the end of the archive here is an error.
            refused += len(expected) < 2
            assert found == [one for one in expected if one[0].endswith(".jpg")] or not expected
    assert refused > 1200


def test_members_of_too_many_bytes_are_not_read(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(member("a.jpg", size=4001), io.BytesIO(bytes(4001)))
    (one,) = read(tmp_path / "a.tar")
    assert one.content is None
    assert "too many bytes" in str(one.error)


def test_a_missing_tar_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        list(tar_ranges(str(tmp_path / "gone.tar")))
