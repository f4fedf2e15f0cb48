"""MetaSchedule tuning of the network's kernels, and the logs that it leaves.

space ─ tuner ─┬─ measurement: builder ─ worker_pool
               ├─ measurement: runner | rpc ─ kernel_timing
               └─ log: trials ─ database (tuning_logs/<target>/<variant>) ─ apply
"""

from pathlib import Path

LOGS = Path(__file__).resolve().parents[2] / "tuning_logs"
"""The logs that ship; `<target>/<variant>/` below it is one log."""
USER_LOGS = Path("tuning_logs")
"""Where `tune` writes and builds look first: the user's, never a folder of an installed package."""


def log_folder(logs: Path, target: str, variant: str) -> Path:
    """The log of `target` and `variant` in `logs`; of those that ship, the user's own before it."""
    own = USER_LOGS / target / variant
    return own if logs == LOGS and own.is_dir() else logs / target / variant
