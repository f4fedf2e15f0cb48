"""Runs scripts of this project in new processes that have imported what they need already.

`recognize` on four images is 0.3 s of CPU time, most of it NumPy and OpenCV. A server that has
imported them forks a process for each run, so that each finds no more loaded than a user's does.
"""

import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


class ScriptServer:
    """Runs scripts in children of the process `server`."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self._server = server

    def run(self, script: str, arguments: Sequence[str]) -> str:
        """What `script` prints. Raises `AssertionError` unless its exit code is 0."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as output:
            line = [output.name, str(SCRIPTS / script), *arguments]
            self._server.stdin.write(json.dumps(line) + "\n")
            self._server.stdin.flush()
            code = int(self._server.stdout.readline())
            assert code == 0, f"{script} ended with {code}"
            return output.read()


@contextmanager
def script_server(modules: Sequence[str]) -> Iterator[ScriptServer]:
    """Within, scripts can be run whose processes have `modules` imported."""
    command = [sys.executable, "-m", __name__, *modules]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        yield ScriptServer(server)  # which ends when nobody writes to it any more


def serve() -> None:
    """Run what standard input says, a line a run, and print each exit code."""
    for module in sys.argv[1:]:
        import_module(module)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(*json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(output: str, *command: str) -> None:
    """Run `command` in this process and end it; what it prints goes to the file `output`."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(output, os.O_WRONLY), 1)
    code: object = 1
    try:
        sys.argv = [*command]
        runpy.run_path(command[0], run_name="__main__")
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        sys.stdout.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    serve()
