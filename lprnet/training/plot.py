"""A training run as a picture: loss and accuracy over the steps, from its `log.csv`."""

import csv
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError
from lprnet.support.palette import BLUE, VERMILION


def plot_run(log: Path, picture: Path) -> None:
    """Draw `log` (written by `lprnet.training.train`) as PNG, SVG or PDF, which the ending
    of `picture` names. Raises `UserError` for a log without lines.

    Left axis: mean CTC loss per character since the line before, logarithmic. Right axis: exactly
    read validation plates in percent.
    """
    matplotlib.use("Agg")
    try:
        with log.open(newline="") as file:
            rows = list(csv.DictReader(file))
        steps = [int(row["step"]) for row in rows]
        losses = [float(row["loss"]) for row in rows]
        accuracies = [100 * float(row["accuracy"]) for row in rows]
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{log} is no log of a training run; give the run's directory") from error
    if not rows:
        raise UserError(f"{log} has no line yet; wait for the run's first validation")
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    left = figure.add_subplot()
    left.semilogy(steps, losses, color=BLUE, marker=".")
    left.set_xlabel("step")
    left.set_ylabel("training loss per character", color=BLUE)
    right = left.twinx()
    right.plot(steps, accuracies, color=VERMILION, marker=".")
    right.set_ylabel("validation plates read exactly, %", color=VERMILION)
    right.set_ylim(0, 100.5)
    with atomic_write(picture) as partial:
        figure.savefig(partial, dpi=120, format=picture.suffix[1:])
