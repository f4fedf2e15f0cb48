"""Exit codes and messages, seen from outside: each case is a real process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PRELUDE = """
from lprnet.support.cli import run
from lprnet.support.errors import UserError
def main():
    {body}
run(main)
"""


def python(body: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE.format(body=body)],
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.parametrize(("body", "status"), [("pass", 0), ("return 1", 1), ("return 0", 0)])
def test_exit_code_is_what_main_returns(body: str, status: int) -> None:
    result = python(body)
    assert (result.returncode, result.stdout, result.stderr) == (status, b"", b"")


def test_user_error_is_one_line_and_exit_code_2() -> None:
    result = python(r'raise UserError("a.jpg is\n  not an image")')
    assert result.returncode == 2
    assert result.stderr == b"error: a.jpg is not an image\n"


def test_a_defect_keeps_its_traceback() -> None:
    result = python('raise RuntimeError("bug")')
    assert result.returncode == 1
    assert b"Traceback" in result.stderr


def test_output_is_utf8_in_any_locale() -> None:
    result = python(r'print("皖A12345", "\udcff")', LC_ALL="C", PYTHONIOENCODING="ascii")
    assert result.returncode == 0
    assert result.stdout == "皖A12345 ".encode() + b"\xff\n"


def test_terminated_halfway_leaves_nothing(tmp_path: Path) -> None:
    """What cleans up after a failure cleans up after `kill`, too."""
    path = tmp_path / "artifact.so"
    lines = (
        "import os, signal",
        "from pathlib import Path",
        "from lprnet.support.atomic_file import replacing",
        f"with replacing(Path({str(path)!r})) as partial:",
        "    partial.write_text('half')",
        "    os.kill(os.getpid(), signal.SIGTERM)",
        "    signal.pause()",
    )
    result = python("\n    ".join(lines))
    assert (result.returncode, list(tmp_path.iterdir())) == (143, [])


def test_interrupt() -> None:
    # A shell starts background jobs, these tests perhaps among them, deaf to SIGINT.
    listen = "import os, signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    result = python(f"{listen}; os.kill(os.getpid(), {int(signal.SIGINT)})")
    assert (result.returncode, result.stderr) == (130, b"interrupted\n")


def test_a_closed_pipe_is_silent() -> None:
    script = PRELUDE.format(body='print("plate\\n" * 100_000)')
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141
    process.stderr.close()


def test_import_is_light() -> None:
    code = (
        "import lprnet, sys; print({'cv2', 'torch', 'tvm', 'tvm_ffi', 'numpy'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert result.stdout == b"set()\n"


def test_unknown_attribute() -> None:
    import lprnet

    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        lprnet.Nothing  # noqa: B018
