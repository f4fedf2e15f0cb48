"""A tuning log for a reader: a table of kernels, and how the search converged."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from rich.table import Column, Table

from lprnet.support.atomic_file import replacing
from lprnet.tuning.log.database import TRIALS
from lprnet.tuning.log.trials import Trial, read_trials
from lprnet.tuning.space.algorithms import Direct, definition
from lprnet.tuning.space.tasks import Task
from lprnet.tuning.tune import Outcome

BLUE = "#0072B2"


def summary(outcome: Outcome) -> Table:
    """One row a kernel: work, trials, what the first batch found and what the last."""
    made = outcome.manifest
    trials = read_trials(outcome.directory / TRIALS)
    table = Table(
        Column("kernel", no_wrap=True),
        *("MMAC", "trials", "failed", "first µs", "best µs", "GFLOP/s"),
        title=f"{outcome.directory}: {made.trials} trials, {made.valid / made.trials:.1%} valid, "
        f"{made.seconds / 60:.1f} min, {outcome.peak_bytes / 2**20:.0f} MiB",
        caption=", ".join(
            f"{name}: {1e3 * seconds:.3f} ms a plate" for name, seconds in outcome.plates.items()
        ),
    )
    for task in outcome.tasks:
        mine = [trial for trial in trials if trial.kernel == task.kernel]
        times = [trial.seconds for trial in mine if trial.seconds is not None]
        if not times:
            table.add_row(task.workload.name, "", str(len(mine)), str(len(mine)), "", "none", "")
            continue
        confirmed = [trial.seconds for trial in mine if trial.record and trial.seconds]
        best = min(confirmed or times)
        macs = task.workload.macs
        table.add_row(
            task.workload.name,
            f"{macs / 1e6:.2f}" if macs else "",
            str(len(mine)),
            str(len(mine) - len(times)),
            f"{times[0] * 1e6:.1f}",
            f"{best * 1e6:.1f}",
            f"{2 * macs / best / 1e9:.0f}" if macs else "",
        )
    return table


def convergence(trials: list[Trial], tasks: list[Task]) -> list[float]:
    """One plate's tuned kernels, of every network, together after each trial, seconds.

    A kernel takes its fastest form, and counts with its first valid trial before it has one.
    """
    kernels = {task.kernel: definition(task.workload) for task in tasks if task.calls}
    calls = {definition(task.workload): task.calls for task in tasks if task.calls}
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


def plot_convergence(outcome: Outcome, picture: Path) -> None:
    """Draw best-so-far milliseconds a plate over the trials as a PNG."""
    matplotlib.use("Agg")
    curve = convergence(read_trials(outcome.directory / TRIALS), outcome.tasks)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.step(range(1, len(curve) + 1), [1e3 * value for value in curve], color=BLUE, where="post")
    axes.set_xlim(0, len(curve))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("trials")
    axes.set_ylabel(f"tuned kernels, ms a plate of {len(outcome.plates)} networks")
    made = outcome.manifest
    axes.set_title(f"{made.target} {made.variant}, seed {made.seed}, {made.cpu}")
    with replacing(picture) as partial:
        figure.savefig(partial, dpi=120, format="png")
