"""Tar files against Python's own reader: whole, in ranges, and damaged."""

import gzip
import io
import random
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lprnet.bulk import tar_input
from lprnet.bulk.tar_input import tar_ranges, tar_sources
from lprnet.runtime.source_reader import Source
from lprnet.support.errors import UserError

PIXELS = 1000
"""So that an image has at most 4000 bytes."""


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


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.lists(st.tuples(st.integers(12, 3000), st.integers(0, 255)), max_size=5))
def test_a_compressed_tar_with_any_damage_is_an_error_of_its_own(
    kind: str, damage: list[tuple[int, int]], tmp_path: Path
) -> None:
    """Each decompressor has errors of its own kind."""
    path = tmp_path / f"a.tar.{kind}"
    content = random.Random(0).randbytes(3000)
    with tarfile.open(path, f"w:{kind}") as tar:  # type: ignore[call-overload]
        tar.addfile(member("a.jpg", size=3000), io.BytesIO(content))
    whole = bytearray(path.read_bytes())
    for place, value in damage:
        whole[place] = value
    path.write_bytes(whole)
    found = read(path)
    assert any(one.error for one in found) or found == [Source(f"{path}/a.jpg", content)]
    if not damage:
        assert not found[0].error


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_name_that_unpacks_to_gigabytes_is_not_unpacked(kind: bytes, tmp_path: Path) -> None:
    """The header states its bytes, and there need not be any."""
    path = tmp_path / "a.tar.gz"
    header = member("name", kind, size=1 << 32).tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(gzip.compress(header + bytes(1 << 20)))
    (one,) = read(path)
    assert "is damaged (a header has 4,294,967,296 bytes)" in str(one.error)


def test_global_headers_are_not_kept_without_end(tmp_path: Path) -> None:
    """Each is small enough; those behind an image that is read would be gigabytes."""
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb") as file:
        for number in range(10):
            value = f"\n999999 k{number}=".encode().ljust(1_000_000, b"x")[1:] + b"\n"
            value = b"%d" % len(value) + value[6:]
            header = member("global", tarfile.XGLTYPE, size=len(value)).tobuf(tarfile.GNU_FORMAT)
            file.write(header + value + bytes(-len(value) % 512))
            file.write(member(f"{number}.jpg").tobuf(tarfile.GNU_FORMAT))
    *images, last = read(path)
    assert [one.name for one in images] == [f"{path}/0.jpg"]
    assert "its global headers have over 1,048,576 characters" in str(last.error)


def test_a_missing_tar_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        list(tar_ranges(str(tmp_path / "gone.tar")))
