"""A tuning log for a reader: a table of kernels, and how the search converged."""

import math
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from rich.table import Column, Table

from lprnet.support.atomic_file import atomic_write
from lprnet.support.palette import BLUE
from lprnet.tuning.log.database import TRIALS
from lprnet.tuning.log.trials import Trial, read_trials
from lprnet.tuning.space.algorithms import Direct, reference_of
from lprnet.tuning.space.tasks import Task
from lprnet.tuning.tune import TuningResult


def summary(result: TuningResult) -> Table:
    """One row a kernel: the best time, work, trials, what the first batch found."""
    made = result.manifest
    trials = read_trials(result.directory / TRIALS)
    table = Table(
        Column("kernel", no_wrap=True),
        *("best µs", "GFLOP/s", "MMAC", "trials", "failed", "first µs"),
        title=f"{result.directory}: {made.trials} trials, {made.valid / made.trials:.1%} valid, "
        f"{made.seconds / 60:.1f} min, {result.peak_bytes / 2**20:.0f} MiB",
        caption=", ".join(
            f"{name}: {1e3 * seconds:.3f} ms a plate"
            if seconds < math.inf
            else f"{name}: some kernels have no valid trial yet"
            for name, seconds in result.plates.items()
        ),
    )
    for task in result.tasks:
        mine = [trial for trial in trials if trial.kernel == task.kernel]
        times = [trial.seconds for trial in mine if trial.seconds is not None]
        if not times:
            table.add_row(task.workload.name, "none", "", "", str(len(mine)), str(len(mine)), "")
            continue
        remeasured = [trial.seconds for trial in mine if trial.record and trial.seconds]
        best = min(remeasured or times)
        macs = task.workload.macs
        table.add_row(
            task.workload.name,
            f"{best * 1e6:.1f}",
            f"{2 * macs / best / 1e9:.0f}" if macs else "",
            f"{macs / 1e6:.2f}" if macs else "",
            str(len(mine)),
            str(len(mine) - len(times)),
            f"{times[0] * 1e6:.1f}",
        )
    return table


def convergence(trials: list[Trial], tasks: list[Task]) -> list[float]:
    """Seconds of one plate's tuned kernels, summed over all networks, after each trial.

    A kernel counts with the fastest trial of any of its algorithms so far. Before its first valid
    trial it counts with that trial's time.
    """
    kernels = {task.kernel: reference_of(task.workload) for task in tasks if task.calls}
    calls = {reference_of(task.workload): task.calls for task in tasks if task.calls}
    best: dict[Direct, float] = {}
    for trial in trials:
        if trial.seconds is not None and trial.kernel in kernels:
            best.setdefault(kernels[trial.kernel], trial.seconds)
    curve = []
    for trial in trials:
        kernel = kernels.get(trial.kernel)
        if kernel is not None and trial.seconds is not None:
            best[kernel] = min(best[kernel], trial.seconds)
        curve.append(sum(best.get(kernel, 0.0) * count for kernel, count in calls.items()))
    return curve


def plot_convergence(result: TuningResult, picture: Path) -> None:
    """Draw best-so-far milliseconds a plate over the trials as PNG, SVG or PDF."""
    matplotlib.use("Agg")
    curve = convergence(read_trials(result.directory / TRIALS), result.tasks)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.step(range(1, len(curve) + 1), [1e3 * value for value in curve], color=BLUE, where="post")
    axes.set_xlim(0, len(curve))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("trials")
    axes.set_ylabel(f"tuned kernels, ms a plate of {len(result.plates)} networks")
    made = result.manifest
    axes.set_title(f"{made.target} {made.variant}, seed {made.seed}, {made.cpu}")
    with atomic_write(picture) as partial:
        figure.savefig(partial, dpi=120, format=picture.suffix[1:])
