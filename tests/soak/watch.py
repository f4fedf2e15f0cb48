"""What a process holds: memory and open files, over time."""

from dataclasses import dataclass, field
from pathlib import Path

GROWTH = 1.1
"""The most that memory may grow from the second tenth of the time to the last."""


@dataclass
class Watched:
    """The process `pid`, looked at now and then."""

    pid: int
    kilobytes: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def look(self) -> None:
        """Raises `OSError` where the process has ended."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        self.kilobytes.append(int(status.split("VmRSS:")[1].split()[0]))
        self.files.append(len(list(Path(f"/proc/{self.pid}/fd").iterdir())))

    def growth(self) -> float:
        """Of the largest memory of the second tenth, that of the last: in the first, buffers of
        every size are made.
        """
        tenth = max(1, len(self.kilobytes) // 10)
        return max(self.kilobytes[-tenth:]) / max(self.kilobytes[tenth : 2 * tenth] or [1])

    def summary(self) -> dict[str, object]:
        return {
            "megabytes": [round(one / 1000) for one in (min(self.kilobytes), max(self.kilobytes))],
            "growth": round(self.growth(), 3),
            "open_files": [min(self.files), max(self.files)],
        }
