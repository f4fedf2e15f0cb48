"""What a sweep measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lprnet.compression.prune.kept_widths import write_widths
from lprnet.distillation.text_agreement import TextAgreement
from lprnet.measure.timing import Accuracy, Record
from lprnet.support.errors import UserError


@dataclass(frozen=True)
class MeasuredPoint:
    """One artifact of the sweep."""

    widths: Mapping[str, int]
    """Channels that stay in each narrowed convolution."""
    half_rows: bool
    """Whether half of the rows stay in the first block."""
    distilled: bool
    """Whether what stays was trained towards the whole network; else it was refitted alone."""
    macs: int
    artifact_bytes: int
    latency: Record
    """On one thread at batch 1, interleaved with the others; with the accuracy."""
    agreement: TextAgreement | None
    """With the whole network in float32; None where no plates are rendered for what it reads."""

    @property
    def pruned(self) -> bool:
        return self.half_rows or bool(self.widths)

    @property
    def accuracy(self) -> Accuracy:
        assert self.latency.accuracy is not None
        return self.latency.accuracy


@dataclass(frozen=True)
class SweepResult:
    """The whole network in float32, the same in integers where those are asked for, then one or two
    points a budget; and the chosen one.
    """

    measured: tuple[MeasuredPoint, ...]
    chosen: MeasuredPoint
    """Of those that `build --widths` can make again, with all rows, the one with the fewest
    multiply-accumulates within the allowed loss.
    """


def as_json(result: SweepResult) -> dict[str, object]:
    """All points and the chosen one, as plain JSON values."""

    def point(one: MeasuredPoint) -> dict[str, object]:
        agreement = None if one.agreement is None else asdict(one.agreement)
        latency = one.latency.as_json()
        return {
            **vars(one),
            "widths": dict(one.widths),
            "latency": latency,
            "agreement": agreement,
        }

    return {
        "points": [point(one) for one in result.measured],
        "chosen": point(result.chosen),
    }


def write_chosen(result: SweepResult, path: Path) -> None:
    """The widths of the chosen network, for `build --widths`. Raises `UserError` where it is the
    unpruned one, and where `path` cannot be written.
    """
    if not result.chosen.widths:
        raise UserError(
            f"{path} was not written, for no pruned network with all rows loses as little as "
            "asked; allow more with --loss, or give larger --budgets"
        )
    write_widths(result.chosen.widths, path)
