"""What torch leaves among the temporary files, a verb does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

CODE = """
import os, sys, tempfile, torch
from pathlib import Path
from lprnet.commands import dispatch, train

def run(_):
    torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    (made,) = Path(tempfile.gettempdir()).iterdir()
    if sys.argv[1] == "used":
        (made / "code").touch()
    if sys.argv[1] == "interrupted":
        raise KeyboardInterrupt

train.run = run
try:
    dispatch.execute(["train"])
except KeyboardInterrupt:
    pass
"""


@pytest.mark.parametrize(("how", "left"), [("ended", 0), ("interrupted", 0), ("used", 1)])
def test_an_empty_folder_of_torch_goes_with_the_verb(how: str, left: int, tmp_path: Path) -> None:
    """Torch makes one for whoever makes an optimizer or exports a model."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("TORCHINDUCTOR_CACHE_DIR", None)
    command = [sys.executable, "-c", CODE, how]
    subprocess.run(command, cwd=PROJECT, env=environment, timeout=120, check=True)
    assert len(list(tmp_path.iterdir())) == left
