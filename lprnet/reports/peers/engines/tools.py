"""Programs that engines convert with. They end with this process, which a report may end."""

import os
import subprocess
import sys
from pathlib import Path

WRAPPER = Path(__file__).resolve().parents[3] / "support" / "run_with_parent.py"


def run_tool(command: list[str]) -> None:
    """Run it; what it prints goes to stderr. Raises `subprocess.CalledProcessError` if it fails."""
    wrapped = [sys.executable, "-I", "-S", str(WRAPPER), str(os.getpid()), *command]
    subprocess.run(wrapped, check=True, stdout=sys.stderr)
