"""How much the service bears: `python -m tests.load --artifact FILE --images DIR`.

Prints JSON: plates/s and CPU time a plate of `lprnet bulk` and of the service, whose client is on
the same machine; latency at half of the service's rate; and, in tenths of the time, what happens at
twice of it. The last line has what the service is to reach. Exits with 1 where an answer was wrong,
a status other than 200 and 503 came, or memory grew.
"""

import argparse
import asyncio
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from lprnet.runtime.image_paths import images_in
from lprnet.runtime.recognizer import Recognizer
from tests.load.client import Request, Result, closed_loop, open_loop, request
from tests.service.served import Served, served

GROWTH = 1.1
"""The most that memory may grow from the first tenth of the overload to the last."""
TENTHS = 10
CONNECTIONS = 8
BULK_PLATES = 20_000


def bulk(artifact: Path, contents: list[bytes], folder: Path) -> dict[str, int]:
    """Plates/s of `lprnet bulk`, which has two tar files a core, and its CPU time a plate, its
    start included.
    """
    count = 2 * len(os.sched_getaffinity(0))
    tars = [folder / f"images-{part}.tar" for part in range(count)]
    for part, path in enumerate(tars):
        with tarfile.open(path, "w") as tar:
            for number in range(part, BULK_PLATES, count):
                member = tarfile.TarInfo(f"{number}.jpg")
                content = contents[number % len(contents)]
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    command = [sys.executable, "-m", "lprnet.commands", "bulk", *map(str, tars), "--format=csv"]
    command += ["--artifact", str(artifact), "--output", str(folder / "read")]
    began, before = time.perf_counter(), children_seconds()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return {
        "bulk_plates_per_second": round(BULK_PLATES / (time.perf_counter() - began)),
        "cpu_us_a_plate": round(1e6 * (children_seconds() - before) / BULK_PLATES),
    }


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def requests_of(artifact: Path, paths: list[Path], batch: int, host: str) -> list[Request]:
    """Requests of `batch` images each, with the texts that the artifact reads."""
    contents = [path.read_bytes() for path in paths]
    texts = [plate.text for plate in Recognizer(artifact).read_many(list(contents))]
    starts = range(0, len(contents) - batch + 1, batch)
    return [request(contents[i : i + batch], texts[i : i + batch], host) for i in starts]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=16, help="images a request")
    parser.add_argument("--seconds", type=float, default=10, help="of each phase but the last")
    parser.add_argument("--overload", type=float, default=60, help="seconds of the last")
    parser.add_argument("--processes", type=int, default=1, help="of the service")
    options = parser.parse_args()
    paths = images_in(options.images)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        contents = [path.read_bytes() for path in paths]
        of_bulk = bulk(options.artifact, contents, folder)
        print(json.dumps(of_bulk), flush=True)
        several = ("--processes", str(options.processes))
        with served(options.artifact, folder / "log", *several) as server:
            host = "{}:{}".format(*server.address)
            requests = requests_of(options.artifact, paths, options.batch, host)
            rate = of_bulk["bulk_plates_per_second"]
            return measure(server, requests, options.seconds, options.overload, rate)


def measure(
    server: Served, requests: list[Request], seconds: float, overload: float, of_bulk: int
) -> int:
    """Run the phases. Returns an exit code."""
    asyncio.run(closed_loop(server.address, requests, CONNECTIONS, 2))  # to warm up
    measured = []

    def phase(name: str, run: Coroutine[Any, Any, Result], wall: float) -> tuple[Result, float]:
        """Run and print one; its result, and the memory of the service afterwards, in bytes."""
        before = server.metric("process_cpu_seconds_total")
        result = asyncio.run(run)
        cpu = server.metric("process_cpu_seconds_total") - before
        memory = server.metric("process_resident_memory_bytes")
        said = {
            "phase": name,
            **result.summary(wall),
            "cpu_us_a_plate": round(1e6 * cpu / max(1, result.plates)),
            "memory_mb": round(memory / 1e6),
        }
        print(json.dumps(said), flush=True)
        measured.append(result)
        return result, memory

    def at(rate: float, wall: float) -> Coroutine[Any, Any, Result]:
        return open_loop(server.address, requests, rate, wall)

    full = closed_loop(server.address, requests, CONNECTIONS, seconds)
    most, _ = phase("full", full, seconds)
    rate = most.plates / seconds / len(requests[0].texts)
    half, _ = phase("half of that", at(rate / 2, seconds), seconds)
    tenth = overload / TENTHS
    grown = [
        phase(f"twice that, {part} of {TENTHS}", at(2 * rate, tenth), tenth)[1]
        for part in range(1, TENTHS + 1)
    ]
    reached = {
        "share_of_bulk": round(most.plates / seconds / of_bulk, 3),
        "p99_ms_at_half": half.summary(seconds)["p99_ms"],
        "memory_growth": round(grown[-1] / grown[0], 3),
    }
    print(json.dumps(reached), flush=True)
    unexpected = {status for one in measured for status in one.statuses} - {200, 503, -2}
    failed = bool(unexpected) or any(one.wrong for one in measured) or grown[-1] > GROWTH * grown[0]
    return int(failed or server.process.poll() is not None)


if __name__ == "__main__":
    sys.exit(main())
