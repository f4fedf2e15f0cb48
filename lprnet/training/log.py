"""A training run's `log.csv`: one line per validation, going on seamlessly after a kill."""

import csv
import time
from pathlib import Path

from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError

COLUMNS = (
    "step",
    "learning_rate",
    "loss",
    "accuracy",
    "accuracy_per_image_context",
    "zero_scales",
    "seconds",
)
"""`loss` is the mean since the line before, accuracies are parts of 1, `seconds` the Unix time."""


def open_log(path: Path, step: int) -> None:
    """Keep the lines up to `step`: what a killed run logged after its last save will come again.

    Raises `UserError` where it cannot be written.
    """
    kept = []
    if step and path.exists():
        with path.open(newline="") as file:
            kept = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
    with atomic_write(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(kept)


def append_log(path: Path, values: tuple[int, float, float, float, float, int]) -> None:
    """Add a line: all of `COLUMNS` but the time. Raises `UserError` where it cannot be written."""
    step, *floats, zeros = values
    row = [step, *(f"{value:.6g}" for value in floats), zeros, round(time.time())]
    try:
        with path.open("a", newline="") as file:
            csv.writer(file).writerow(row)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); go on elsewhere or make room"
        ) from error
