"""Schedules of every origin: by hand, from a tuning log, the faster of the two, or none at all."""

from collections.abc import Sequence
from pathlib import Path

import tvm

from lprnet.compiler.compile import Scheduler
from lprnet.compiler.targets import Target
from lprnet.tuning import LOGS
from lprnet.tuning.log.database import TuningLog
from lprnet.tuning.log.nearest import open_nearest_log
from lprnet.tuning.measurement.compare_kernels import faster_kernels
from lprnet.tuning.space.sketches import is_tunable
from schedules import apply as by_hand
from schedules.apply import KernelReport, kernels

ORIGINS = ("manual", "auto", "hybrid", "none")
TUNED = ("auto", "hybrid")
"""The origins that need a tuning log."""


def check_logs(origin: str, targets: Sequence[Target], variant: str) -> None:
    """Raise `UserError` where schedules of `origin` need a tuning log that one of `targets` lacks:
    before anything is compiled.
    """
    for target in targets if origin in TUNED else ():
        open_nearest_log(LOGS, target, variant)


def scheduler(origin: str, variant: str, logs: Path = LOGS) -> Scheduler:
    """`apply` as `compile_network` takes it, with the log of a target and `variant` in `logs`, or
    the nearest (`log/nearest.py`).

    It raises `UserError` where no such log exists or it has no record of a kernel.
    """

    def schedule(module: tvm.IRModule, target: Target) -> tuple[tvm.IRModule, list[KernelReport]]:
        log = open_nearest_log(logs, target, variant) if origin in TUNED else None
        return apply(module, target, origin, log)

    return schedule


def apply(
    module: tvm.IRModule, target: Target, origin: str, log: TuningLog | None = None
) -> tuple[tvm.IRModule, list[KernelReport]]:
    """`module` with every kernel scheduled, and one report a kernel.

    `origin` is `manual` for the hand-written schedules, `auto` for the fastest ones in `log`,
    `hybrid` for the faster of the two, kernel by kernel, as measured now on this CPU, or `none` to
    leave TVM's defaults. Raises `UnscheduledKernel` for a PrimFunc that no hand-written schedule
    covers, and `UserError` for one that `log` has no record of.
    """
    match origin:
        case "manual":
            return by_hand.apply(module, target.isa)
        case "none":
            return module, [
                KernelReport(variable.name_hint, workload.macs, "none", "unscheduled")
                for variable, workload in kernels(module)
            ]
    assert log is not None
    return _auto(module, target, log) if origin == "auto" else _hybrid(module, target, log)


def _auto(
    module: tvm.IRModule, target: Target, log: TuningLog
) -> tuple[tvm.IRModule, list[KernelReport]]:
    """The tunable kernels by `log`, the others by hand."""
    scheduled = tvm.IRModule(dict(module.functions.items()))
    reports = []
    for variable, workload in kernels(module):
        if is_tunable(workload):
            function, tile = log.schedule(variable.name_hint, workload)
            report = KernelReport(
                variable.name_hint, workload.macs, "auto", tile, log.manifest.target
            )
        else:
            function, tile = by_hand.schedule(workload, target.isa)
            report = KernelReport(variable.name_hint, workload.macs, "manual", tile)
        scheduled.update_func(variable, function)
        reports.append(report)
    return scheduled, reports


def _hybrid(
    module: tvm.IRModule, target: Target, log: TuningLog
) -> tuple[tvm.IRModule, list[KernelReport]]:
    """The kernels of a manual build, replaced where those of an automatic one are faster."""
    manual, auto = by_hand.apply(module, target.isa), _auto(module, target, log)
    tuned = [report.kernel for report in auto[1] if report.origin == "auto"]
    faster = faster_kernels(manual[0], auto[0], tuned, target)
    chosen = tvm.IRModule(dict(manual[0].functions.items()))
    for name in faster:
        chosen.update_func(chosen.get_global_var(name), auto[0][name])
    reports = [a if a.kernel in faster else m for m, a in zip(manual[1], auto[1], strict=True)]
    return chosen, reports
