"""A job ends with the same bytes however often it was killed, and no worker outlives its end."""

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.bulk.killing import make_images, results, run_killed, start, wait_for_shards
from tests.processes import blocks_interrupts


def test_killed_at_random_moments(tmp_path: Path, letter: Path) -> None:
    make_images(tmp_path / "photos", 2000)
    assert run_killed(tmp_path, "whole", letter, 100, kills=0, seed=0) == 0
    assert run_killed(tmp_path, "killed", letter, 100, kills=4, seed=2) > 0
    whole = results(tmp_path / "whole")
    assert len([name for name in whole if name.startswith("shard-")]) == 20
    assert results(tmp_path / "killed") == whole


def children(process: subprocess.Popen[bytes]) -> list[int]:
    """The workers of a job."""
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [
        int(number)
        for number in text.split()
        if "resource_tracker" not in Path(f"/proc/{number}/cmdline").read_text()
    ]


def test_no_worker_outlives_the_run_and_no_run_its_worker(tmp_path: Path, letter: Path) -> None:
    make_images(tmp_path / "photos", 2000)
    first = start(tmp_path, "out", letter, 10)
    wait_for_shards(tmp_path / "out", 2, first)
    workers = children(first)
    assert workers
    assert all(map(blocks_interrupts, workers)), "one that comes while they import is a traceback"
    first.kill()
    first.wait(60)
    end = time.monotonic() + 60
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < end, "a worker is left"
        time.sleep(0.01)

    second = start(tmp_path, "out", letter, 10)
    wait_for_shards(tmp_path / "out", len(list((tmp_path / "out").glob("shard-*"))) + 2, second)
    os.kill(children(second)[0], signal.SIGKILL)
    assert second.wait(60) == 2
    (said,) = (tmp_path / "said").read_text().splitlines()
    assert "a worker process has ended (by SIGKILL" in said
    assert "run the same command again" in said
