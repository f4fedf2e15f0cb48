"""A sweep as a table for a terminal and as a picture."""

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from lprnet.reports.pruning_sweep.results import MeasuredPoint, SweepResult
from lprnet.support.atomic_file import atomic_write
from lprnet.support.palette import BLUE, GREEN, VERMILION


def table(result: SweepResult) -> Table:
    """A table of all points, the chosen one marked."""
    columns = ("MMAC", "correct", "agrees %", "ms", "KiB", "weights")
    rows = Table("", *columns, title="structured pruning")
    for one in result.measured:
        same = one.agreement
        rows.add_row(
            "chosen" if one == result.chosen else "",
            f"{one.macs / 1e6:.1f}",
            f"{one.accuracy.correct}/{one.accuracy.total}",
            "-" if same is None else f"{100 * same.same / same.plates:.1f}",
            f"{one.latency.min_ms:.3f}",
            f"{one.artifact_bytes / 1024:.0f}",
            _weights(one),
        )
    return rows


def _weights(one: MeasuredPoint) -> str:
    if not one.pruned:
        return one.latency.variant
    rows = ", half rows" if one.half_rows else ""
    return f"distilled{rows}" if one.distilled else "refitted"


def plot_sweep(result: SweepResult, picture: Path) -> None:
    """Accuracy against work and latency, as PNG, SVG or PDF. Raises as `atomic_write` does."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    left.set_ylabel("plates read exactly, %")
    left.set_xlabel("million multiply-accumulates")
    right.set_xlabel("ms a plate, one thread, minimum")
    for axes, is_latency in ((left, False), (right, True)):
        draw(axes, result, is_latency)
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
    left.legend()
    with atomic_write(picture) as unfinished:
        figure.savefig(unfinished, dpi=120, format=picture.suffix[1:])


def draw(axes: Axes, result: SweepResult, is_latency: bool) -> None:
    """A line for the refitted networks, one for the distilled ones, and the chosen one; across it
    the milliseconds or the multiply-accumulates. Both lines hold the last unpruned network, and run
    from left to right in whatever order the budgets were given.
    """

    def across(one: MeasuredPoint) -> float:
        return one.latency.min_ms if is_latency else one.macs / 1e6

    def percent(one: MeasuredPoint) -> float:
        return 100 * one.accuracy.correct / one.accuracy.total

    whole = [one for one in result.measured if not one.pruned]
    for name, distilled, colour in (("refitted", False, BLUE), ("distilled", True, GREEN)):
        pruned = [one for one in result.measured if one.pruned and one.distilled == distilled]
        if pruned:
            points = sorted([whole[-1], *pruned], key=across)
            x, y = [across(one) for one in points], [percent(one) for one in points]
            axes.plot(x, y, color=colour, marker=".", label=name)
    best = result.chosen
    axes.plot(across(best), percent(best), "D", color=VERMILION, label="chosen")
