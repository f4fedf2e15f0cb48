"""The environments of engines that are not installed beside ours: made once, kept while their
pinned requirements stay.
"""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from lprnet.support.atomic_file import atomic_write
from lprnet.support.child_command import run_command
from lprnet.support.errors import UserError

REQUIREMENTS = Path(__file__).with_name("requirements")
STAMP = "made-from"
INSTALL_SECONDS = 900.0


def environment(engine: str, folder: Path) -> Path:
    """The Python of the environment of `engine` in `folder`, with what `requirements/` lists.

    Raises `UserError` if it cannot be made; then nothing is left of it.
    """
    place, listed = folder / engine, REQUIREMENTS / f"{engine}.txt"
    python, stamp = place / "bin" / "python", place / STAMP
    made_from = sha256(listed.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == made_from:
        return python
    shutil.rmtree(place, ignore_errors=True)
    install = [str(python), "-m", "pip", "install", "--no-deps", "--no-input", "-q", "-r"]
    try:
        for command in ([sys.executable, "-m", "venv", str(place)], [*install, str(listed)]):
            run_command(command, seconds=INSTALL_SECONDS)
        with atomic_write(stamp) as partial:
            partial.write_text(made_from)
    except BaseException as error:
        shutil.rmtree(place, ignore_errors=True)
        if isinstance(error, OSError | subprocess.SubprocessError):
            raise UserError(f"{listed.name} cannot be installed ({_reason(error)})") from error
        raise
    return python


def _reason(error: OSError | subprocess.SubprocessError) -> str:
    """What a user needs of it, in a line: of pip's many lines the last."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it took more than {error.timeout:,.0f} seconds"
    printed = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else ""
    return (printed or str(error)).splitlines()[-1]


def installed_bytes(python: Path) -> int:
    """The size of the packages of the environment of `python`, without pip and setuptools."""
    folders = [
        one for one in packages(python).iterdir() if not one.name.startswith(("pip", "setuptools"))
    ]
    files = [file for one in folders for file in ([one] if one.is_file() else one.rglob("*"))]
    return sum(file.stat().st_size for file in files if file.is_file())


def packages(python: Path) -> Path:
    """The folder of the packages of the environment of `python`."""
    (folder,) = (python.parent.parent / "lib").glob("python*/site-packages")
    return folder
