"""A report as data, and its JSON file."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lprnet.distillation.text_agreement import TextAgreement
from lprnet.measure.timing import Accuracy, Record
from lprnet.reports.benchmark.costs import ColdStart, Throughput
from lprnet.reports.benchmark.engines import GRAPHS
from lprnet.reports.benchmark.variants import Missing
from lprnet.runtime.json_fields import decode
from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError
from lprnet.support.file_names import utf8_json

FILE = "report.json"
SAMPLES = 32
"""Rendered plates in the picture of samples."""


@dataclass(frozen=True)
class Line:
    """One entry with all its measurements."""

    name: str
    ours: bool
    graph: str
    """A key of `lprnet.reports.benchmark.engines.GRAPHS`."""
    latency: Record
    """At batch 1 on one thread; its `accuracy` is that on all images."""
    unseen: Accuracy
    """Accuracy on the images that nothing was calibrated on."""
    throughput: Throughput
    start: ColdStart
    file_bytes: int
    """Size of the artifact, checkpoint or ONNX file."""
    installed_bytes: int
    same_as: str = ""
    """Name of the line that was measured instead, if its file has the same bytes."""
    grammar: Accuracy | None = None
    """`unseen` with the same logits decoded under the grammar; None: not counted."""
    agreement: TextAgreement | None = None
    """Of a line of ours with the float one, on rendered plates; None: not measured."""

    def __post_init__(self) -> None:
        """Raises `ValueError` for what no measurement comes to."""
        accuracy, times = self.latency.accuracy, (self.latency.min_ms, self.start.seconds)
        if self.graph not in GRAPHS or not (accuracy and accuracy.total and min(times) > 0):
            raise ValueError(f"the line {self.name!r} lacks a graph, images or a time")


@dataclass(frozen=True)
class Kernel:
    """One kernel's best time under each schedule."""

    name: str
    macs: int
    bytes: int
    """Size of its operands, each counted once."""
    seconds: dict[str, float]
    """By origin: `none`, `manual` and, if there is a tuning log, `auto`."""


@dataclass(frozen=True)
class Kernels:
    """The float32 kernels of the base build, each alone on one core."""

    peak_flops: float
    """Operations a second, by FMAs on registers."""
    bytes_per_second: float
    """Of copies within the L2 cache."""
    kernels: tuple[Kernel, ...]


@dataclass(frozen=True)
class Proportion:
    """How far latency falls with arithmetic: two of our lines, timed without the others."""

    whole: str
    pruned: str
    """Their names."""
    whole_macs: int
    pruned_macs: int
    whole_ms: float
    pruned_ms: float
    """Minima of this run; the lines have those of the run with all entries."""

    def __post_init__(self) -> None:
        """Raises `ValueError` where the whole was not counted or not timed."""
        if not (self.whole_macs and self.whole_ms > 0):
            raise ValueError(f"{self.whole!r} lacks its work or its time")

    @property
    def saved(self) -> float:
        """Share of the multiply-accumulates that pruning removed."""
        return 1 - self.pruned_macs / self.whole_macs

    def share(self, whole_ms: float, pruned_ms: float) -> float:
        """Relative latency saved divided by `saved`; 1 if latency falls as much as arithmetic."""
        return (1 - pruned_ms / whole_ms) / self.saved


@dataclass(frozen=True)
class Report:
    """The results of one run."""

    date: str
    cores: int
    checkpoint: str
    data: str
    """The number and kind of the images."""
    repeatability: float
    """`lprnet.reports.benchmark.costs.repeatability`."""
    lines: tuple[Line, ...]
    missing: tuple[Missing, ...]
    sample_reader: str
    """Name of the line that read the rendered sample plates."""
    sample_texts: tuple[str, ...]
    """The texts it read, in the order of `lprnet.synthetic.render.sample_plates`."""
    kernels: Kernels
    proportion: Proportion | None = None
    """None if one of its two lines could not be built."""

    def __post_init__(self) -> None:
        """Raises `ValueError` without a line of ours, or without one that another part names."""
        ours = {line.name for line in self.lines if line.ours}
        named = (self.proportion.whole, self.proportion.pruned) if self.proportion else ()
        if not ours.issuperset(named) or not ours:
            raise ValueError("a line of ours is missing")

    def write(self, folder: Path) -> Path:
        """Write `report.json` in `folder`. Raises `UserError` if it cannot be written."""
        path = folder / FILE
        text = utf8_json(json.dumps(asdict(self), ensure_ascii=False, indent=1))
        write_bytes(path, f"{text}\n".encode())
        return path


def best(lines: Sequence[Line]) -> Line:
    """Our fastest line; ratios are relative to it."""
    return min((line for line in lines if line.ours), key=lambda line: line.latency.min_ms)


@dataclass(frozen=True)
class Cost:
    """A column in which less is better."""

    what: str
    ahead: str
    """What is said of a baseline that is ahead in it."""
    of: Callable[[Line], float]

    def is_ahead(self, baseline: Line, ours: Sequence[Line]) -> bool:
        """Whether `baseline` costs less than each of `ours`."""
        return self.of(baseline) < min(map(self.of, ours))


COSTS = (
    Cost("latency", "has lower latency", lambda x: x.latency.min_ms),
    Cost(
        "plates a second", "reads more plates a second", lambda x: -x.throughput.plates_per_second
    ),
    Cost("size of the file", "has a smaller file", lambda x: x.file_bytes),
    Cost("cold start", "starts sooner", lambda x: x.start.seconds),
    Cost("memory", "needs less memory", lambda x: x.start.resident_bytes),
    Cost("installed size", "installs less", lambda x: x.installed_bytes),
)
"""All but accuracy, which is counted on the unseen images or on all."""


def read_report(path: Path) -> Report:
    """Read what `Report.write` wrote. Raises `UserError` for anything else."""
    try:
        return decode(Report, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is no report; make one with lprnet report") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, all or nothing. Raises `UserError` if it cannot be written."""
    with atomic_write(path) as partial:
        partial.write_bytes(content)
