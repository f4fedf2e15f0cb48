"""An hour of faults: `python -m tests.soak --artifact FILE --minutes 60`.

`lprnet serve` with few file descriptors gets good and bad images from clients, some of which are
slow, go away or crowd it; beside it threads share a recognizer (`shared_recognizer.py`). Every
answer is compared with what a recognizer of its own has read before. Prints JSON; exits with 1
where an answer was wrong or a status is not expected, where a process has ended or its memory has
grown, or where connections, images or bytes of requests are left when all clients are gone.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from lprnet.runtime.recognizer import Recognizer
from tests.processes import process_group, wait_until
from tests.service.served import Served, running
from tests.soak.clients import Clients
from tests.soak.pictures import MOST_PIXELS, pictures
from tests.soak.watch import GROWTH, Watched

FILES = 96
"""Descriptors that the service has: 32 connections."""
EXPECTED = {200, 503, -1}
"""-1 is a connection that the service, which was full, has closed."""
LOOKS = 60
"""At the memory, in the whole time."""


def soak(artifact: Path, seconds: float, folder: Path) -> dict[str, object]:
    """Run it and say what happened; `failed` is empty if all is well."""
    service: list[str | Path] = ["prlimit", f"--nofile={FILES}", sys.executable, "-m"]
    service += ["lprnet.commands", "serve", "--artifact", artifact, "--port", "0"]
    service += ["--max-seconds", "3", "--max-pixels", str(MOST_PIXELS)]
    shared: list[str | Path] = [
        sys.executable,
        "-m",
        "tests.soak.shared_recognizer",
        artifact,
        str(seconds),
    ]
    output = folder / "shared"
    with running(service, folder / "log") as server, process_group(shared, output) as process:
        wait_until(lambda: b"started" in output.read_bytes(), process, output)
        good, bad = pictures(Recognizer(artifact))
        idle = _sockets(server)
        clients = Clients(server.address, good, bad, seconds)
        watched = {"service": Watched(server.process.pid), "recognizer": Watched(process.pid)}
        asyncio.run(_both(clients, list(watched.values()), seconds))
        process.terminate()
        code = process.wait(600)
        left = _left(server, idle)
        lasted = server.process.poll() is None
        server.process.terminate()
        ended = server.process.wait(60)
        counts = json.loads(output.read_text().splitlines()[-1]) if code == 0 else {}
        log = server.log.read_text()
    result = clients.result
    failed = {
        "wrong answers of the service": result.wrong,
        "statuses": sorted(set(result.statuses) - EXPECTED),
        "nothing read": int(not result.plates or not counts.get("images")),
        "wrong answers of the recognizer": counts.get("wrong", "it has ended"),
        "grown": [name for name, one in watched.items() if one.growth() > GROWTH],
        "left": left,
        "the service has ended": int(not lasted or ended != 0),
        "tracebacks": log.count("Traceback"),
    }
    return {
        "seconds": seconds,
        "service": {**result.summary(seconds), "plates": result.plates},
        "clients with faults": dict(clients.faults),
        "recognizer": counts,
        **{f"{name} held": one.summary() for name, one in watched.items()},
        "failed": {what: found for what, found in failed.items() if found},
    }


async def _both(clients: Clients, watched: list[Watched], seconds: float) -> None:
    async def watch() -> None:
        for _ in range(LOOKS):
            await asyncio.sleep(seconds / LOOKS)
            for one in watched:
                one.look()

    await asyncio.gather(clients.all(), watch())


def _left(server: Served, idle: int) -> dict[str, float]:
    """What the service still holds 30 seconds after its last client, sockets beyond `idle`."""
    left: dict[str, float] = {}
    for _ in range(30):
        left = {name: server.metric(name) for name in ("lprnet_queue_images", "lprnet_held_bytes")}
        left["sockets"] = max(0, _sockets(server) - idle)
        if not any(left.values()):
            return {}
        time.sleep(1)
    return left


def _sockets(server: Served) -> int:
    links = Path(f"/proc/{server.process.pid}/fd").iterdir()
    return sum(str(link.readlink()).startswith("socket:") for link in links)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = soak(options.artifact.resolve(), 60 * options.minutes, Path(folder))
    print(json.dumps(found, indent=2))
    return int(bool(found["failed"]))


if __name__ == "__main__":
    sys.exit(main())
