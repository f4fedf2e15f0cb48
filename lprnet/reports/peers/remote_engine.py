"""An engine in another environment: its process, asked by the one that measures (`worker.py`)."""

import json
import subprocess
import weakref
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lprnet.measure.timing import OwnClock
from lprnet.support.child_command import end_commands, ended_commands, start_command

WORKER = Path(__file__).with_name("worker.py")
CONVERT_SECONDS = 600.0


def convert(python: Path, engine: str, source: Path, target: Path) -> None:
    """Let `engine` make its own file of the ONNX file `source`, in the environment of `python`.

    Raises `RuntimeError` with the last line that it printed if it fails or takes too long.
    """
    command = [str(python), str(WORKER), "convert", engine, str(source), str(target)]
    with TemporaryFile() as printed:
        process = start_command(command, stdout=printed, stderr=printed)
        with ended_commands([process]), suppress(subprocess.TimeoutExpired):
            process.wait(CONVERT_SECONDS)
        if process.returncode != 0:
            raise RuntimeError(f"{engine} converts no {source.name}: {_end(printed)}")
    if not target.is_file():
        raise RuntimeError(f"{engine} made nothing of {source.name}")


class RemoteEngine:
    """A process that runs `engine` on the file `file`. It ends with this object."""

    def __init__(self, python: Path, engine: str, file: Path) -> None:
        """Start the process; it inherits the cores that the calling thread may use."""
        self._printed = TemporaryFile()  # noqa: SIM115, a full pipe would block the process
        self._process = start_command(
            [python, WORKER, "serve", engine, file], stdin=subprocess.PIPE, stderr=self._printed
        )
        weakref.finalize(self, end_commands, [self._process])

    def ask(self, request: dict[str, Any], content: bytes = b"") -> dict[str, Any]:
        """The answer to a request. Raises `RuntimeError` with the last line that the process
        printed if it ends instead.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n" + content)
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise RuntimeError(f"the engine ended: {_end(self._printed)}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def read(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The float32 values behind an answer."""
        assert self._process.stdout is not None
        content = self._process.stdout.read(4 * int(np.prod(shape)))
        return np.frombuffer(content, np.float32).reshape(shape)


class RemoteCall(OwnClock):
    """A call of a `RemoteEngine` on images `(N, 3, 24, 94)` float32, timed in its own process."""

    def __init__(self, engine: RemoteEngine, images: NDArray[np.float32]) -> None:
        """Bind the images; another call of as many images then no longer has its own."""
        self._engine, self._batch = engine, len(images)
        engine.ask({"bind": images.shape}, images.tobytes())

    def __call__(self) -> NDArray[np.float32]:
        answer = self._engine.ask({"run": self._batch})
        return self._engine.read(tuple(answer["shape"]))

    def milliseconds(self) -> float:
        return float(self._engine.ask({"time": self._batch})["ms"])


def _end(printed: Any) -> str:
    """The last line of what a process printed."""
    printed.seek(0)
    text: str = printed.read().decode(errors="replace").strip()
    return text.splitlines()[-1] if text else "no message"
