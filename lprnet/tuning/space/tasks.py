"""The kernels of a build that can be tuned."""

from collections.abc import Iterable
from dataclasses import dataclass

import tvm
import tvm_ffi
from tvm import tirx

from lprnet.tuning.space.algorithms import Tunable, algorithms_of, canonical
from lprnet.tuning.space.sketches import is_tunable
from relay_passes.dataflow import Dataflow
from schedules.isa import Isa
from schedules.workloads.match import match


@dataclass(frozen=True)
class Task:
    """One kernel: its name, its workload, and how often `main` calls it for one plate."""

    kernel: str
    workload: Tunable
    calls: int


def find_tasks(lowered: tvm.IRModule) -> list[Task]:
    """The tunable kernels of what `relay_passes.pipeline.lower_graph` returns, in its order."""
    calls = Dataflow(lowered["main"]).kernel_calls()
    tasks = []
    for variable, function in lowered.functions.items():
        if not isinstance(function, tirx.PrimFunc):
            continue
        workload = match(function)
        if workload is not None and is_tunable(workload):
            tasks.append(Task(variable.name_hint, workload, calls[variable.name_hint]))
    return tasks


def shared_tasks(networks: Iterable[Iterable[Task]]) -> list[Task]:
    """The kernels that a log is tuned for: each kernel of `networks` once, calls summed.

    Kernels of the same `kernel_module` are one, under a unique name.
    """
    shared: dict[str, Task] = {}
    for task in (task for network in networks for task in network):
        name = kernel_name(task.workload)
        calls = task.calls + (shared[name].calls if name in shared else 0)
        shared[name] = Task(name, canonical(task.workload), calls)
    return list(shared.values())


def with_algorithms(tasks: Iterable[Task], isa: Isa) -> list[Task]:
    """Each of `tasks` once for each of its algorithms, with the same calls."""
    return [
        Task(task.kernel, algorithm, task.calls)
        for task in tasks
        for algorithm in algorithms_of(task.workload, isa)
    ]


def kernel_module(workload: Tunable) -> tvm.IRModule:
    """The module under which logs store `workload`; tuning and building both use it."""
    return single(canonical(workload))


def kernel_name(workload: Tunable) -> str:
    """The name of `workload` in logs: equal if and only if `kernel_module` is."""
    digest = tvm_ffi.structural_hash(kernel_module(workload)) % 2**32
    return f"{canonical(workload).name}_{digest:08x}"


def single(workload: Tunable) -> tvm.IRModule:
    """A module whose only function is `workload`, unchanged."""
    return tvm.IRModule({"main": workload.prim_func().with_attr("global_symbol", "main")})
