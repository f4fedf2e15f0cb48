"""What the command line says of a service, besides its bounds."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it brings NumPy, which counts cores; a process is pinned first
    from lprnet.runtime.artifact import Artifact


@dataclass(frozen=True)
class Settings:
    """What a service is."""

    artifact: "Path | Artifact"
    host: str
    port: int
    token_file: Path | None
    min_confidence: float
    grammar: bool | None
    rows: str
    """As in `Reader`, both."""
    processes: int
