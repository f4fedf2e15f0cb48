"""What a tuning log was made for, and the check that only comparable trials are added to it."""

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from lprnet.runtime.json_fields import decode
from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError

FORMAT = 3
FILE = "manifest.json"


@dataclass(frozen=True)
class LogManifest:
    """The JSON file in each log. A log can only be continued by a run whose measurements are
    comparable: all fields but those in `_FREE` must be equal.
    """

    target: str
    variant: str
    networks: tuple[str, ...]
    """The checkpoints whose kernels these are: file name and digest."""
    tvm: str
    """TVM's version."""
    cpu: str
    """The CPU that measured; over RPC, the servers' key."""
    passes: tuple[str, ...]
    """This project's passes between the schedule and the machine code. Passes before the schedule
    are not recorded: they decide which kernels there are, and kernels are known by structure.
    """
    kernels: tuple[str, ...]
    """`calls x workload`; 0 calls where only earlier networks need the kernel."""
    seed: int
    trials: int
    """Candidates built and measured, failures included."""
    valid: int
    """Of those, the ones that compiled, ran and computed the right values."""
    seconds: float
    """Wall clock of all runs together."""
    stopped_early: str | None
    """Why the last run ended with fewer trials than it was asked for; None if it has them all."""
    format: int = FORMAT

    def progressed(self, trials: int, valid: int, seconds: float) -> "LogManifest":
        """The manifest of the same log after more trials."""
        return replace(self, trials=trials, valid=valid, seconds=round(seconds, 1))


_FREE = {"networks", "kernels", "trials", "valid", "seconds", "stopped_early"}


def write_manifest(manifest: LogManifest, directory: Path) -> None:
    """Write `manifest.json`, all or nothing."""
    with atomic_write(directory / FILE) as partial:
        partial.write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")


def read_manifest(directory: Path) -> LogManifest:
    """The manifest of the log in `directory`. Raises `UserError` if there is no such log."""
    path = directory / FILE
    tune = "tune with lprnet tune"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{directory}: holds no tuning log; {tune} first.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as a manifest; {tune} --fresh.") from error
    names = {field.name for field in fields(LogManifest)}
    if not isinstance(content, dict) or content.get("format") != FORMAT or set(content) != names:
        raise UserError(f"{path}: was written by another version of lprnet; {tune} --fresh.")
    try:
        return decode(LogManifest, content)
    except ValueError as error:
        raise UserError(f"{path}: is damaged ({error}); {tune} --fresh.") from error


def refuse_to_mix(old: LogManifest, new: LogManifest, directory: Path) -> None:
    """Raise `UserError` if trials for `new` are not comparable with those in the log of `old`."""
    for field in fields(LogManifest):
        before, now = getattr(old, field.name), getattr(new, field.name)
        if field.name not in _FREE and before != now:
            differ = f"{field.name} is {before}, this run's {now}"
            if isinstance(before, tuple):
                differ = f"{field.name} are others than this run's"
            raise UserError(
                f"{directory}: its {differ}; start over with --fresh or give another --output."
            )
