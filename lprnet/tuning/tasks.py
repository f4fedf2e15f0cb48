"""The kernels that a build needs and that are worth tuning."""

from dataclasses import dataclass

import tvm
from tvm import relax, tirx

from lprnet.tuning.space import Tunable, is_tunable
from relay_passes.dataflow import Dataflow, is_call
from schedules.match import match


@dataclass(frozen=True)
class Task:
    """One kernel: its name in the lowered module, what it computes, how often `main` calls it."""

    kernel: str
    workload: Tunable
    calls: int


def find_tasks(lowered: tvm.IRModule) -> list[Task]:
    """The tunable kernels of what `relay_passes.pipeline.lower_graph` returns, in its order."""
    calls: dict[str, int] = {}
    for value in Dataflow(lowered["main"]).values.values():
        if isinstance(value, relax.Call) and is_call(value, "call_tir"):
            name = value.args[0].name_hint
            calls[name] = calls.get(name, 0) + 1
    tasks = []
    for variable, function in lowered.functions.items():
        if not isinstance(function, tirx.PrimFunc):
            continue
        workload = match(function)
        if workload is not None and is_tunable(workload):
            tasks.append(Task(variable.name_hint, workload, calls[variable.name_hint]))
    return tasks


def kernel_module(workload: Tunable) -> tvm.IRModule:
    """`workload` alone, in the form under which logs know it: tuning and building both ask here."""
    return tvm.IRModule({"main": workload.prim_func().with_attr("global_symbol", "main")})
