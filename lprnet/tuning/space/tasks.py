"""The kernels that builds need and that are worth tuning."""

from collections.abc import Iterable
from dataclasses import dataclass

import tvm
import tvm_ffi
from tvm import relax, tirx

from lprnet.compiler.targets import Isa
from lprnet.tuning.space.algorithms import Tunable, canonical, forms
from lprnet.tuning.space.sketches import is_tunable
from relay_passes.dataflow import Dataflow, is_call
from schedules.workloads.match import match


@dataclass(frozen=True)
class Task:
    """One kernel: its name, what it computes, how often a plate's `main` calls it."""

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


def shared_tasks(networks: Iterable[Iterable[Task]]) -> list[Task]:
    """What a log is tuned for: each kernel of `networks` once, calls added up.

    Kernels that `kernel_module` makes one are one, under a name that no other kernel has.
    """
    shared: dict[str, Task] = {}
    for task in (task for network in networks for task in network):
        name = kernel_name(task.workload)
        calls = task.calls + (shared[name].calls if name in shared else 0)
        shared[name] = Task(name, canonical(task.workload), calls)
    return list(shared.values())


def with_forms(tasks: Iterable[Task], isa: Isa) -> list[Task]:
    """`tasks` with every form of each, called as often."""
    return [
        Task(task.kernel, form, task.calls) for task in tasks for form in forms(task.workload, isa)
    ]


def kernel_module(workload: Tunable) -> tvm.IRModule:
    """`workload` alone, in the form under which logs know it: tuning and building both ask here."""
    return single(canonical(workload))


def kernel_name(workload: Tunable) -> str:
    """The name under which journals know `workload`: equal if and only if `kernel_module` is."""
    digest = tvm_ffi.structural_hash(kernel_module(workload)) % 2**32
    return f"{canonical(workload).name}_{digest:08x}"


def single(workload: Tunable) -> tvm.IRModule:
    """`workload` as it is, the only function of a module."""
    return tvm.IRModule({"main": workload.prim_func().with_attr("global_symbol", "main")})
