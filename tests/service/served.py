"""`lprnet serve` and services like it, each in a process of its own on a free port."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import httpx
import numpy as np

from tests.processes import process_group, wait_until

SECONDS = 60.0
"""For one request of a test, on a machine with other work."""


@dataclass(frozen=True)
class Served:
    """A running service."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def metric(self, sample: str) -> float:
        """The value of a sample, 0 if there is none."""
        text = httpx.get(f"{self.url}/metrics", timeout=SECONDS).text
        found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0


@contextmanager
def running(command: Sequence[str | Path], log: Path) -> Iterator[Served]:
    """A process that prints the address on which it listens."""
    with process_group(command, log) as process:
        wait_until(lambda: b"listening: " in log.read_bytes(), process, log)
        found = re.search(r"listening: (\S+)", log.read_text())
        assert found is not None
        yield Served(found[1], process, log)


@contextmanager
def served(artifact: Path, log: Path, *arguments: str | Path) -> Iterator[Served]:
    """`lprnet serve` with these arguments."""
    verb: list[str | Path] = [
        sys.executable,
        "-m",
        "lprnet.commands",
        "serve",
        "--artifact",
        artifact,
        "--port",
        "0",
    ]
    with running([*verb, *arguments], log) as one:
        yield one


def picture(format: str = ".png", size: tuple[int, int] = (5, 2)) -> bytes:
    """An image file of `size`, width and height."""
    return cv2.imencode(format, np.zeros((size[1], size[0], 3), np.uint8))[1].tobytes()


def form(*contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    """What httpx takes as files."""
    return [("images", (f"{index}.png", content)) for index, content in enumerate(contents)]
