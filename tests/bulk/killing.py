"""A job whose process is killed again and again: `python -m tests.bulk.killing --help`."""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from tests.conftest import PROJECT

SECONDS = 600.0
"""The longest that one run may take."""


def make_images(folder: Path, count: int) -> None:
    """Small pictures, every hundredth cut short; as many names as images, few contents."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    contents = [
        cv2.imencode(".jpg", rng.integers(0, 256, (24, 94, 3), dtype=np.uint8))[1].tobytes()
        for _ in range(20)
    ]
    for number in range(count):
        content = contents[number % 20]
        (folder / f"{number:07}.jpg").write_bytes(content if number % 100 else content[:-50])


def start(folder: Path, output: str, artifact: Path, shard_size: int) -> subprocess.Popen[bytes]:
    """The job in a process of its own; its messages go to the file `said`."""
    command: list[str | Path] = [
        sys.executable, PROJECT / "scripts" / "bulk.py", "photos", "--output", output,
        "--artifact", artifact, "--shard-size", str(shard_size), "--format", "csv",
    ]  # fmt: skip
    with (folder / "said").open("wb") as said:
        return subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)


def results(folder: Path) -> dict[str, bytes]:
    """All files of a job but the lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def run_killed(
    folder: Path, output: str, artifact: Path, shard_size: int, kills: int, seed: int
) -> int:
    """Start the job until it ends by itself; the first `kills` runs are killed after some new
    shards have come and a random moment more. Returns how many were killed.
    """
    rng = random.Random(seed)
    count = sum(1 for _ in (folder / "photos").iterdir())
    killed = 0
    while True:
        process = start(folder, output, artifact, shard_size)
        try:
            if killed < kills:
                shards = len(list((folder / output).glob("shard-*")))
                wanted = shards + rng.randint(0, max(1, count // shard_size // (kills + 1)))
                wait_for_shards(folder / output, wanted, process)
                time.sleep(rng.uniform(0, 0.2))
                process.send_signal(signal.SIGKILL)
            code = process.wait(SECONDS)
        finally:
            process.kill()
            process.wait()
        if code != -signal.SIGKILL:
            assert code == 1, "some images are damaged"
            return killed
        killed += 1


def wait_for_shards(folder: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    """Return when there are `count` shards or the process has ended."""
    end = time.monotonic() + SECONDS
    while process.poll() is None and len(list(folder.glob("shard-*"))) < count:
        assert time.monotonic() < end, "no shards come"
        time.sleep(0.01)


def main() -> None:
    """Compare a job that was killed with one that was not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--shard-size", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, artifact = Path(name), options.artifact.resolve()
        make_images(folder / "photos", options.images)
        run_killed(folder, "whole", artifact, options.shard_size, 0, 0)
        killed = run_killed(folder, "killed", artifact, options.shard_size, options.kills, 1)
        same = results(folder / "whole") == results(folder / "killed")
    print(f"{options.images} images, killed {killed} times: {'same' if same else 'OTHER'} bytes")
    sys.exit(not same or killed != options.kills)


if __name__ == "__main__":
    main()
