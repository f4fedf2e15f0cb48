"""What the command line says of a service, besides its bounds."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """What a service is."""

    artifact: Path
    host: str
    port: int
    token_file: Path | None
    min_confidence: float
    grammar: bool | None
    rows: str
    """As in `Reader`, both."""
    processes: int
