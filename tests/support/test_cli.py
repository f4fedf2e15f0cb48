"""Exit codes and messages, seen from outside: each case is a real process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.processes import SECONDS

PRELUDE = """import sys
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
        "from lprnet.support.atomic_file import atomic_write",
        f"with atomic_write(Path({str(path)!r})) as partial:",
        "    partial.write_text('half')",
        "    os.kill(os.getpid(), signal.SIGTERM)",
        "    signal.pause()",
    )
    result = python("\n    ".join(lines))
    assert (result.returncode, list(tmp_path.iterdir())) == (143, [])


def test_interrupt() -> None:
    # A shell starts background jobs, these tests perhaps among them, with SIGINT ignored.
    listen = "import os, signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    result = python(f"{listen}; os.kill(os.getpid(), {int(signal.SIGINT)})")
    assert (result.returncode, result.stderr) == (130, b"interrupted\n")


def test_a_closed_pipe_prints_no_error() -> None:
    script = PRELUDE.format(body='print("plate\\n" * 100_000)')
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (141, b"")


def test_import_is_light() -> None:
    code = (
        "import lprnet, sys; print({'cv2', 'torch', 'tvm', 'tvm_ffi', 'numpy'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert result.stdout == b"set()\n"


def test_decode_is_an_attribute() -> None:
    import lprnet
    import lprnet.runtime.decode

    assert lprnet.decode is lprnet.runtime.decode


def test_unknown_attribute() -> None:
    import lprnet

    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        lprnet.Nothing  # noqa: B018


def shell(command: str, body: str) -> subprocess.CompletedProcess[bytes]:
    """`command` in a shell, in which `"$PYTHON" -c "$CODE"` is a process whose `main` is `body`."""
    return subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        env={**os.environ, "PYTHON": sys.executable, "CODE": PRELUDE.format(body=body)},
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_full_disk_is_a_sentence(lines: int) -> None:
    body = f'print("plate\\n" * {lines})'
    result = shell('"$PYTHON" -c "$CODE" > /dev/full', body)
    assert result.returncode == 2
    assert result.stderr == (
        b"error: stdout cannot be written (No space left on device); choose another place\n"
    )


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            'with open("/dev/full", "w") as file: file.write("x")',
            b"a file cannot be written (No space left on device); make room or choose another",
        ),
        (
            'raise OSError(30, "Read-only file system", "a.so")',
            b"a.so cannot be written (Read-only file system); make room or choose another",
        ),
    ],
)
def test_a_disk_that_takes_no_file_is_a_sentence(body: str, sentence: bytes) -> None:
    """Wherever it is met: no list of the places that write can be complete."""
    result = python(body)
    assert (result.returncode, result.stderr) == (2, b"error: " + sentence + b"\n")


def test_no_temporary_folder_is_a_sentence() -> None:
    """As in a container whose root file system is read-only."""
    body = """import tempfile
    tempfile._candidate_tempdir_list = lambda: ["/proc/nothing"]
    tempfile.TemporaryDirectory()"""
    result = python(body)
    assert result.returncode == 2
    assert result.stderr == (
        b"error: No usable temporary directory found in ['/proc/nothing']; "
        b"set TMPDIR to a folder that can be written\n"
    )


def test_messages_that_cannot_be_written_stop_nothing() -> None:
    """A full disk, or a reader that has left, where stderr goes."""
    body = """for number in range(1000): print("message " * 10, file=sys.stderr)
    print("plate")
    print("an unfinished line", end="", file=sys.stderr)"""
    full = shell('"$PYTHON" -c "$CODE" 2> /dev/full', body)
    assert (full.returncode, full.stdout) == (0, b"plate\n")
    failed = shell('"$PYTHON" -c "$CODE" 2> /dev/full', 'raise UserError("no plate")')
    assert (failed.returncode, failed.stdout) == (2, b"")
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as gone:
        left = subprocess.run(
            [sys.executable, "-c", PRELUDE.format(body=body)],
            stdout=subprocess.PIPE, stderr=gone, check=False, timeout=60,
        )  # fmt: skip
    assert (left.returncode, left.stdout) == (0, b"plate\n")


def test_closed_streams() -> None:
    """A closed stdout is refused before any work; without stderr the work is done."""
    result = shell('"$PYTHON" -c "$CODE" >&-', "raise RuntimeError")
    assert (result.returncode, result.stderr.count(b"\n")) == (2, 1)
    assert b"stdout is closed" in result.stderr
    result = shell('"$PYTHON" -c "$CODE" 2>&-', 'print("plate"); print("x", file=sys.stderr)')
    assert (result.returncode, result.stdout) == (0, b"plate\n")
    result = shell('"$PYTHON" -c "$CODE" <&- >&- 2>&-', "pass")
    assert result.returncode == 2


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """Or what C code writes to stderr would go into it."""
    body = f"file = open({str(tmp_path / 'a')!r}, 'w'); print(file.fileno())"
    for command in ('"$PYTHON" -c "$CODE" 2>&-', '"$PYTHON" -c "$CODE" <&-'):
        assert int(shell(command, body).stdout) > 2


def test_streams_of_a_notebook_and_another_thread() -> None:
    """Neither streams without `reconfigure` nor a thread that may set no handler are an error."""
    code = (
        "import io, sys, threading\n"
        "from lprnet.support.cli import run\n"
        "class Stream(io.TextIOBase):\n"
        "    def write(self, text): return sys.__stdout__.write(text)\n"
        "sys.stdout = Stream()\n"
        "sys.stderr = Stream()\n"
        "def cell():\n"
        "    try:\n"
        "        run(lambda: print('plate'))\n"
        "    except SystemExit as end:\n"
        "        print('ended with', end.code)\n"
        "cell()\n"
        "thread = threading.Thread(target=cell)\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == ["plate", "ended with 0"] * 2


def test_a_notebook_gets_its_handlers_back() -> None:
    code = (
        "import signal, sys\n"
        "sys.ps1 = 'In: '\n"
        "from lprnet.support.cli import run\n"
        "before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)\n"
        "try:\n"
        "    run(lambda: None)\n"
        "except SystemExit:\n"
        "    pass\n"
        "assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "swallowed",
    [
        "raise RuntimeError('TVM says: Traceback ...')",
        "sys.exit(1)",
        "raise UserError('no')",
    ],
)
def test_an_interrupt_stays_one_when_code_between_makes_it_another_error(swallowed: str) -> None:
    lines = (
        "import os, signal",
        "try:",
        "    os.kill(os.getpid(), signal.SIGINT)",
        "    signal.pause()",
        "except KeyboardInterrupt:",
        f"    {swallowed}",
    )
    result = listening(*lines)
    assert (result.returncode, result.stderr) == (130, b"interrupted\n")


def test_a_signal_in_the_code_of_a_string_is_no_interrupt_of_python(tmp_path: Path) -> None:
    """Python remembers that such code was interrupted; `python -m` then ended by SIGINT."""
    body = 'exec("import signal; signal.raise_signal(signal.SIGTERM)")'
    (tmp_path / "module_that_ends.py").write_text(PRELUDE.format(body=body))
    path = os.pathsep.join((str(tmp_path), str(PROJECT)))
    result = subprocess.run(
        [sys.executable, "-m", "module_that_ends"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (143, b"")


def test_a_signal_that_a_finalizer_swallows_comes_again() -> None:
    """As in that of PyTorch's loader, which printed a traceback and went on."""
    lines = (
        "import signal, time",
        "class Swallows:",
        "    def __del__(self):",
        "        signal.raise_signal(signal.SIGTERM)",
        "one = Swallows()",
        "del one",
        "time.sleep(30)",
    )
    result = listening(*lines)
    assert (result.returncode, result.stderr) == (143, b"")


def test_after_a_signal_finalizers_say_nothing() -> None:
    """As PyTorch's do of a process that got the same one."""
    lines = (
        "import signal",
        "class Fails:",
        "    def __del__(self):",
        "        raise RuntimeError('a process was killed')",
        "one = Fails()",
        "try:",
        "    signal.raise_signal(signal.SIGTERM)",
        "finally:",
        "    del one",
    )
    result = listening(*lines)
    assert (result.returncode, result.stderr) == (143, b"")


def test_a_signal_right_after_another_does_not_cut_the_clean_up_short() -> None:
    """A build in a terminal gets one of Ctrl-C and one of the report that it belongs to."""
    lines = (
        "import signal, time",
        "try:",
        "    signal.raise_signal(signal.SIGINT)",
        "finally:",
        "    signal.raise_signal(signal.SIGTERM)",
        "    print('removed', flush=True)",
        "    time.sleep(1.1)",
        "    signal.raise_signal(signal.SIGINT)",
        "    print('hangs')",
    )
    result = listening(*lines)
    assert (result.returncode, result.stdout, result.stderr) == (143, b"removed\n", b"")


def test_what_else_a_finalizer_raises_is_printed() -> None:
    lines = (
        "class Raises:",
        "    def __del__(self):",
        "        raise RuntimeError('bug')",
        "one = Raises()",
        "del one",
    )
    result = listening(*lines)
    assert result.returncode == 0
    assert b"RuntimeError: bug" in result.stderr


def listening(*lines: str) -> subprocess.CompletedProcess[bytes]:
    """`lines` as `main`, in a process that Ctrl-C reaches: a shell starts background jobs, these
    tests perhaps among them, with it ignored.
    """
    code = "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += PRELUDE.format(body="\n    ".join(lines))
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, timeout=60
    )


def test_messages_are_one_printable_line() -> None:
    r"""A file name may hold anything; a terminal obeys escape sequences."""
    result = python(r'raise UserError("caf\udce9\x1b[31m.jpg is\n no image\x07")')
    assert result.stderr == b"error: caf\\xe9\\x1b[31m.jpg is no image\\x07\n"


@pytest.mark.parametrize("module", ["lprnet.support", "lprnet.support.cli"])
def test_ctrl_c_while_the_command_is_imported_is_no_traceback(module: str) -> None:
    """Nothing handles it by then; whatever is imported at that moment raises it."""
    code = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "import lprnet.commands"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (130, b"", b"")


@pytest.mark.parametrize("failure", ["raise ValueError", "raise KeyboardInterrupt", "sys.exit(1)"])
def test_a_failure_leaves_no_folder(tmp_path: Path, failure: str) -> None:
    (tmp_path / "there").mkdir()
    place = tmp_path / "there" / "made" / "too" / "file"
    lines = (
        "from pathlib import Path",
        "from lprnet.support.atomic_file import atomic_write",
        f"with atomic_write(Path({str(place)!r})) as partial:",
        "    partial.write_text('half')",
        f"    {failure}",
    )
    assert listening(*lines).returncode in (1, 130)
    assert list((tmp_path / "there").iterdir()) == []
    assert listening(*lines[:-1]).returncode == 0
    assert place.read_text() == "half"
