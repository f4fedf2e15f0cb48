"""The report as data: what is measured, kept as JSON, and drawn from again."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lprnet.measure.timing import Accuracy, Record
from lprnet.reports.benchmark.costs import Start, Throughput
from lprnet.reports.benchmark.variants import Missing
from lprnet.support.atomic_file import replacing
from lprnet.support.errors import UserError

FILE = "report.json"
SAMPLES = 32
"""Rendered plates on the contact sheet."""


@dataclass(frozen=True)
class Line:
    """One contestant with all its columns."""

    name: str
    ours: bool
    graph: str
    """A key of `lprnet.reports.benchmark.engines.GRAPHS`."""
    latency: Record
    """Batch 1 and one thread; `accuracy` of all images."""
    unseen: Accuracy
    """Of the images that nothing was calibrated on."""
    throughput: Throughput
    start: Start
    file_bytes: int
    """The artifact, or the rival's checkpoint or ONNX file."""
    installed_bytes: int
    same_as: str = ""
    """The line that was measured for both, where the file is the same byte for byte."""


@dataclass(frozen=True)
class Kernel:
    """One kernel's best time under each schedule."""

    name: str
    macs: int
    bytes: int
    """Of its operands, each read or written once."""
    seconds: dict[str, float]
    """By `none`, `manual` and, where there is a tuning log, `auto`."""


@dataclass(frozen=True)
class Kernels:
    """The float kernels of the base, each alone on one core."""

    peak_flops: float
    """FMAs on registers, a second."""
    bytes_per_second: float
    """Copying within the second-level cache."""
    kernels: tuple[Kernel, ...]


@dataclass(frozen=True)
class Proportion:
    """How far time falls with arithmetic: two of our lines that took turns with nobody else."""

    whole: str
    pruned: str
    """Their names."""
    whole_macs: int
    pruned_macs: int
    whole_ms: float
    pruned_ms: float
    """Minima of the two alone; the lines have those of everybody's turns."""

    @property
    def saved(self) -> float:
        """Multiply-accumulates saved, as a part of all."""
        return 1 - self.pruned_macs / self.whole_macs

    def share(self, whole_ms: float, pruned_ms: float) -> float:
        """What of `saved` shows in these times: 1 where time falls as arithmetic does."""
        return (1 - pruned_ms / whole_ms) / self.saved


@dataclass(frozen=True)
class Report:
    """One run."""

    date: str
    cores: int
    checkpoint: str
    data: str
    """What was read: how many images of what."""
    noise: float
    """`lprnet.reports.benchmark.costs.noise`."""
    lines: tuple[Line, ...]
    missing: tuple[Missing, ...]
    sample_reader: str
    """The line that read the rendered sample plates."""
    sample_texts: tuple[str, ...]
    """What it read, in the order of `lprnet.synthetic.render.sample_plates`."""
    kernels: Kernels
    proportion: Proportion | None = None
    """None where one of its two lines could not be built."""

    def write(self, folder: Path) -> Path:
        """Write `report.json` in `folder`. Raises `UserError` where that is impossible."""
        path = folder / FILE
        write_bytes(path, (json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n").encode())
        return path


def best(lines: Sequence[Line]) -> Line:
    """Our fastest line, which ratios are to."""
    return min((line for line in lines if line.ours), key=lambda line: line.latency.min_ms)


def read_report(path: Path) -> Report:
    """What `Report.write` wrote. Raises `UserError` for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        kernels = content.pop("kernels")
        lines = tuple(_line(line) for line in content.pop("lines"))
        missing = tuple(Missing(**one) for one in content.pop("missing"))
        each = tuple(Kernel(**kernel) for kernel in kernels.pop("kernels"))
        texts = tuple(content.pop("sample_texts"))
        proportion = content.pop("proportion", None)
        return Report(
            **content,
            lines=lines,
            missing=missing,
            sample_texts=texts,
            kernels=Kernels(**kernels, kernels=each),
            proportion=None if proportion is None else Proportion(**proportion),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no report; make one with scripts/report.py") from error


def _line(content: dict[str, Any]) -> Line:
    latency = content.pop("latency")
    return Line(
        latency=Record(**{**latency, "accuracy": Accuracy(**latency["accuracy"])}),
        unseen=Accuracy(**content.pop("unseen")),
        throughput=Throughput(**content.pop("throughput")),
        start=Start(**content.pop("start")),
        **content,
    )


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, all or nothing. Raises `UserError` where that is impossible."""
    with replacing(path) as partial:
        partial.write_bytes(content)
