"""What a run says of itself: a line of its log and one on the terminal for every validation."""

import time
from collections.abc import Callable
from pathlib import Path

import torch

from lprnet.training.device import Device
from lprnet.training.log import append_log
from lprnet.training.network_slimming import batch_norm, normed
from lprnet.training.state import TrainState
from lprnet.training.validation import Result, Validation, validate

HOPELESS = 3
"""After so many validations without one text that is right, the user is told what to look at."""


class Progress:
    """Losses and plates since the last report."""

    def __init__(
        self, log: Path, validation: Validation, device: Device, show: Callable[[str], None]
    ) -> None:
        self._log, self._validation, self._device, self._show = log, validation, device, show
        self._losses: list[float] = []
        self._plates, self._since = 0, time.monotonic()
        self._reports, self._any_right = 0, False

    def add(self, loss: float, plates: int) -> None:
        """Count a step on so many plates."""
        self._losses.append(loss)
        self._plates += plates

    def report(self, state: TrainState) -> None:
        """Validate, and write what came out. At least one step was counted since the last report.

        Raises `UserError` where the log cannot be written.
        """
        rate = self._plates / (time.monotonic() - self._since)
        result = validate(state, self._validation, self._device)
        mean = sum(self._losses) / len(self._losses)
        accuracies = (result.right / result.count, result.right_per_image / result.count)
        learning_rate = state.optimizer.param_groups[0]["lr"]
        append_log(self._log, (state.step, learning_rate, mean, *accuracies, zero_scales(state)))
        self._show(
            f"step {state.step}: loss {mean:.4f}, {result.right} of {result.count} plates exact, "
            f"{rate:.0f} plates/s"
        )
        self._reports += 1
        self._any_right = self._any_right or result.right > 0
        # Random weights take longer on rendered plates, and there no label can be wrong.
        if self._validation.of_user and self._reports == HOPELESS and not self._any_right:
            self._show(hopeless(result))
        self._losses.clear()
        self._plates, self._since = 0, time.monotonic()


def hopeless(result: Result) -> str:
    """What to look at where nothing is read, with examples."""
    examples = "; ".join(
        f"{name} is labelled {text!r} and read as {found!r}" for name, text, found in result.misread
    )
    return (
        f"none of {result.count} validation plates was read in {HOPELESS} validations "
        f"({examples}); check that labels and images belong together, that each label spells its "
        "plate from left to right in one row, and that the alphabet is the right one"
    )


def zero_scales(state: TrainState) -> int:
    """How many of the channels in training slimming has switched off."""
    convs = normed(state.model.architecture)
    scales = [batch_norm(state.model, conv).weight for conv in convs]
    return sum(int(torch.count_nonzero(scale == 0)) for scale in scales)
