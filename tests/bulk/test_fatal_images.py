"""An image that ends the process that decodes it is an error of that image, and of no other."""

import json
import signal
from pathlib import Path

import pytest

from lprnet.commands.dispatch import execute
from tests.bulk.deadly_decoder import deadly_decoder, deadly_png


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT"])
def test_the_other_images_of_its_shard_are_read(
    tmp_path: Path,
    photos: Path,
    letter: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    deadly_decoder(tmp_path, monkeypatch, name)
    for number in (1, 9):
        (photos / f"{number:03}.png").write_bytes(deadly_png())
    arguments = [str(photos), "--output", str(tmp_path / "out"), "--artifact", str(letter)]
    assert execute([*arguments, "--format=jsonl", "--shard-size=8"], "bulk") == 1
    assert "30 plates" in capsys.readouterr().err
    out = tmp_path / "out"
    assert not list(out.glob(".*.partial"))
    lines = [line for one in sorted(out.glob("_errors-*")) for line in one.open()]
    errors = {Path(one["file"]).name: one["error"] for one in map(json.loads, lines)}
    assert sorted(errors) == [f"{number:03}.png" for number in sorted({*range(0, 29, 7), 1, 9})]
    said, how = errors["001.png"].split(" (")
    assert said == f"the image file {photos}/001.png ends its decoder"
    assert how in {f"{name}); leave it out", "SIGBUS); leave it out"}  # libtvm_ffi handles SIGSEGV
    assert len([line for one in out.glob("shard-*") for line in one.open()]) == 30 - len(errors)


def test_a_worker_that_is_killed_is_no_fatal_image() -> None:
    """By SIGKILL where memory is short, by SIGTERM where somebody ends it."""
    from lprnet.bulk.fatal_images import FATAL

    assert not FATAL & {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
