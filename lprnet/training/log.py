"""A training run's `log.csv`: one line per validation, going on seamlessly after a kill."""

import csv
import time
from pathlib import Path

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
    """Keep the lines up to `step`: what a killed run logged after its last save will come again."""
    kept = []
    if step and path.exists():
        with path.open(newline="") as file:
            kept = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(kept)


def append_log(path: Path, values: tuple[int, float, float, float, float, int]) -> None:
    """Add a line: all of `COLUMNS` but the time."""
    with path.open("a", newline="") as file:
        step, *floats, zeros = values
        csv.writer(file).writerow(
            [step, *(f"{value:.6g}" for value in floats), zeros, round(time.time())]
        )
