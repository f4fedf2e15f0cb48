"""What a training run keeps between steps: its state on disk, an average of its weights."""

import os
from pathlib import Path
from typing import Any

import torch

from lprnet.support.atomic_file import atomic_write


def write_state(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values as `torch.load` reads them back; a kill at any moment, of the
    machine too, leaves the previous file or the new one.
    """
    with atomic_write(path) as partial, partial.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())


def kept_share(step: int, most: float) -> float:
    """How much of a moving average stays after `step` steps: `most`, and less of a young one, which
    would otherwise keep the weights that the run began with.
    """
    return min(most, (1 + step) / (10 + step))
