"""MetaSchedule tuning of the network's kernels, and the logs that it leaves.

    space ─ tuner ─┬─ measurement: builder ─ worker_pool
                   ├─ measurement: runner | rpc ─ kernel_timing
                   └─ log: trials ─ database (tuning_logs/<target>/<variant>) ─ schedules/apply.py

TVM imports its tensor intrinsics for every backend when the first `TuneContext` is made, and CUDA's
alone take half a minute. No kernel here uses them, so importing this package puts empty modules in
their places, unless they are loaded already.
"""

import sys
from pathlib import Path
from types import ModuleType

LOGS = Path(__file__).resolve().parents[1] / "tuning_logs"
"""The logs that ship; `<target>/<variant>/` below it is one log."""
USER_LOGS = Path("tuning_logs")
"""Where `tune` writes and builds look first: the user's, never a folder of an installed package."""


def log_folder(logs: Path, target: str, variant: str) -> Path:
    """The log of `target` and `variant` in `logs`; of those that ship, the user's own before it."""
    own = USER_LOGS / target / variant
    return own if logs == LOGS and own.is_dir() else logs / target / variant


for _backend in ("arm_cpu", "cuda", "hexagon", "riscv_cpu", "rocm"):
    _name = f"tvm.s_tir.tensor_intrin.{_backend}"
    sys.modules.setdefault(_name, ModuleType(_name))
