"""Which log a target is scheduled from: its own, or else that of the nearest target below it."""

from pathlib import Path

from lprnet.compiler.targets import TARGETS, Target
from lprnet.support.errors import UserError
from lprnet.tuning import log_folder
from lprnet.tuning.log.database import TuningLog, open_log
from lprnet.tuning.log.manifest import FILE

QUANTIZED = {"fp32": "", "int8": "--quantized=static", "int8-weights": "--quantized=weights"}
"""Starts of a variant's name to the flag that makes it."""


def open_nearest_log(logs: Path, target: Target, variant: str) -> TuningLog:
    """The log of `target` and `variant` in `logs`; where there is none, that of the target with the
    most features among those whose code `target` runs with the same vectors and byte arithmetic,
    for kernels are packed and scheduled by these.

    Raises `UserError`, which says how to do without or make one, if none of them has a log, and as
    `open_log` does.
    """
    below = [one for one in TARGETS if one.isa == target.isa and target.runs(one)]
    for one in sorted(below, key=lambda one: len(one.flags), reverse=True):
        folder = log_folder(logs, one.name, variant)
        if (folder / FILE).exists():
            return open_log(folder)
    raise UserError(
        f"there is no tuning log for {target.name} {variant}; build with --schedule manual, or "
        f"make a log on a CPU that runs {target.name} code: {tune_command(target, variant)}"
    )


def tune_command(target: Target, variant: str) -> str:
    """The command that makes the log of `target` and `variant`."""
    arithmetic = next(name for name in sorted(QUANTIZED, reverse=True) if variant.startswith(name))
    pruned = variant.removeprefix(arithmetic).removeprefix("-")
    flags = [QUANTIZED[arithmetic], f"--pruned={pruned}" if pruned else ""]
    return " ".join(["lprnet tune", f"--target {target.name}", *filter(None, flags)])


def substitution(target: str, variant: str, log: str) -> str | None:
    """The sentence for a user if `log`, the target of a tuning log, is not `target`."""
    if log == target:
        return None
    return (
        f"There is no tuning log for {target} {variant}; the schedules are those of {log}, whose "
        f"code {target} runs."
    )
