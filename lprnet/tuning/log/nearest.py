"""Which log a target is scheduled from: its own, or else that of the nearest target below it."""

from pathlib import Path

from lprnet.compiler.targets import TARGETS, Target
from lprnet.tuning import log_folder
from lprnet.tuning.log.database import TuningLog, open_log
from lprnet.tuning.log.manifest import FILE


def open_nearest_log(logs: Path, target: Target, variant: str) -> TuningLog:
    """The log of `target` and `variant` in `logs`; where there is none, that of the target with the
    most features among those whose code `target` runs with the same vectors and byte arithmetic,
    for kernels are packed and scheduled by these.

    Raises `UserError` if none of them has a log, and as `open_log` does.
    """
    below = [one for one in TARGETS if one.isa == target.isa and target.runs(one)]
    for one in sorted(below, key=lambda one: len(one.flags), reverse=True):
        folder = log_folder(logs, one.name, variant)
        if (folder / FILE).exists():
            return open_log(folder)
    return open_log(log_folder(logs, target.name, variant))


def substitution(target: str, variant: str, log: str) -> str | None:
    """The sentence for a user if `log`, the target of a tuning log, is not `target`."""
    if log == target:
        return None
    return (
        f"There is no tuning log for {target} {variant}; the schedules are those of {log}, whose "
        f"code {target} runs."
    )
