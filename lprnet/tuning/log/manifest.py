"""What a log was tuned for, and the refusal to mix it with anything else."""

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from lprnet.support.atomic_file import replacing
from lprnet.support.errors import UserError

FORMAT = 2
FILE = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """Beside each log, as JSON. What makes two measurements comparable must agree to go on with a
    log; networks and their kernels may join it.
    """

    target: str
    variant: str
    networks: tuple[str, ...]
    """The weights whose kernels these are: file name and digest."""
    tvm: str
    """TVM's version."""
    cpu: str
    """That measured; with a fleet, what its key says."""
    passes: tuple[str, ...]
    """Ours between a schedule and its machine code. A kernel is known by its structure, so those
    before the schedule only decide which kernels there are.
    """
    kernels: tuple[str, ...]
    """`calls x workload`; none calls what only earlier networks need."""
    seed: int
    trials: int
    """Candidates built and measured, failures included."""
    valid: int
    """Of those, the ones that compiled, ran and computed the right values."""
    seconds: float
    """Wall clock of all runs together."""
    format: int = FORMAT

    def progressed(self, trials: int, valid: int, seconds: float) -> "Manifest":
        """The same log later."""
        return replace(self, trials=trials, valid=valid, seconds=round(seconds, 1))


_FREE = {"networks", "kernels", "trials", "valid", "seconds"}


def write_manifest(manifest: Manifest, directory: Path) -> None:
    """Write `manifest.json`, all or nothing."""
    with replacing(directory / FILE) as partial:
        partial.write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")


def read_manifest(directory: Path) -> Manifest:
    """The manifest of the log in `directory`. Raises `UserError` if there is no such log."""
    path = directory / FILE
    tune = "tune with scripts/tune.py"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{directory}: holds no tuning log; {tune} first.") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a manifest; {tune} --fresh.") from error
    names = {field.name for field in fields(Manifest)}
    if not isinstance(content, dict) or content.get("format") != FORMAT or set(content) != names:
        raise UserError(f"{path}: was written by another version of lprnet; {tune} --fresh.")
    tuples = {key: tuple(value) for key, value in content.items() if isinstance(value, list)}
    return Manifest(**{**content, **tuples})


def refuse_to_mix(old: Manifest, new: Manifest, directory: Path) -> None:
    """Raise `UserError` if trials for `new` do not belong into the log that `old` describes."""
    for field in fields(Manifest):
        before, now = getattr(old, field.name), getattr(new, field.name)
        if field.name not in _FREE and before != now:
            differ = f"{field.name} is {before}, this run's {now}"
            if isinstance(before, tuple):
                differ = f"{field.name} are others than this run's"
            raise UserError(
                f"{directory}: its {differ}; start over with --fresh or give another --output."
            )
