"""Our rows of the table and the flags of `lprnet build` that build them (`row_builds.py`)."""

from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
EXPORTED = "network.onnx"
"""Beside the artifact of a row that `exports`."""


@dataclass(frozen=True)
class Row:
    """A row of the table and how it is built."""

    name: str
    quantized: str | None = None
    pruned: str | None = None
    schedule: str | None = None
    """The options of `lprnet build`; None for its default."""

    @property
    def flags(self) -> tuple[str, ...]:
        """The command line of `lprnet build`."""
        names = ("pruned", "quantized", "schedule")
        values = [(name, getattr(self, name)) for name in names]
        return tuple(f"--{name}={value}" for name, value in values if value is not None)

    @property
    def exports(self) -> bool:
        """Whether the build also writes its network as ONNX, for baselines at equal arithmetic."""
        return self.pruned == "structured" and self.schedule is None

    @property
    def times_kernels(self) -> bool:
        """Whether the build itself times kernels and needs an idle machine."""
        return self.schedule == "hybrid"


COMBINED = "all combined"
BASE = "base (MLC, manual)"
STRUCTURED = "pruned, structured"
STRUCTURED_INT8 = "pruned + static int8"

ROWS = (
    Row(BASE),
    Row("weights-only int8", quantized="weights"),
    Row("static int8", quantized="static"),
    Row("bf16", quantized="bf16"),
    Row("pruned I", pruned="unstructured"),
    Row("pruned II", pruned="depth-aware"),
    Row(STRUCTURED, pruned="structured"),
    Row(STRUCTURED_INT8, "static", "structured"),
    Row("MLC, none", schedule="none"),
    Row("MLC, auto", schedule="auto"),
    Row("MLC, hybrid", schedule="hybrid"),
    Row(COMBINED, "static", "structured", "hybrid"),
)
SCHEDULE_ROWS = frozenset(
    row.name for row in ROWS if row.schedule and not (row.quantized or row.pruned)
)
"""Names of the rows that differ from the base by their schedules only."""


@dataclass(frozen=True)
class Missing:
    """A row that could not be made, and the reason."""

    name: str
    reason: str
