"""Which of several schedules of one kernel is fastest: timed interleaved on one idle core."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import tvm

from lprnet.compiler.codegen import generate, tvm_target
from lprnet.compiler.targets import Target, require_cpu
from lprnet.tuning.measurement.kernel_timing import ENTRY, check, random_inputs, run_kernel
from lprnet.tuning.measurement.worker_pool import Failure, WorkerPool

ROUNDS = 300
"""Enough that a comparison outlasts most disturbances of a shared machine; minima are compared."""
MIN_SPEEDUP = 1.01
"""How many times as fast a schedule must be to replace the manual one; less may be noise."""
SAMPLE_SECONDS = 5e-4
"""Duration of one sample: as many calls as fit, at least one."""
COMPARISON_SECONDS = 300.0
"""Timeout for all candidates of one kernel."""

Candidates = Mapping[str, tvm.IRModule]
"""Schedules of one kernel by name, each a module whose only function is `main`."""


def time_interleaved(
    comparisons: Sequence[Candidates], target: tvm.target.Target
) -> list[dict[str, list[float]]]:
    """Seconds a call of every candidate in each of `ROUNDS` rounds, one kernel after another.

    Raises `RuntimeError` if a candidate fails or its result differs from the first one's.
    """
    calls = [
        (
            {name: tvm.ir.save_json(module) for name, module in comparison.items()},
            tvm.ir.save_json(target),
        )
        for comparison in comparisons
    ]
    core = frozenset({max(os.sched_getaffinity(0))})
    with WorkerPool(1, core) as workers:
        results = workers.map(time_candidates, calls, COMPARISON_SECONDS)
    for result in results:
        if isinstance(result, Failure):
            raise RuntimeError(f"a kernel could not be timed: {result.reason}")
    return results


def require_measurable(target: Target) -> None:
    """Raise `UserError` if this CPU cannot run, and so not time, `target`'s code."""
    require_cpu(target, "a hybrid build measures it, so build with --schedule manual or auto")


def faster_kernels(
    manual: tvm.IRModule, auto: tvm.IRModule, kernels: Sequence[str], target: Target
) -> set[str]:
    """Those of `kernels` that are at least `MIN_SPEEDUP` times as fast in `auto` as in `manual`.

    Raises as `require_measurable`.
    """
    require_measurable(target)
    comparisons = [
        {"manual": tvm.IRModule({ENTRY: manual[name]}), "auto": tvm.IRModule({ENTRY: auto[name]})}
        for name in kernels
    ]
    times = time_interleaved(comparisons, tvm_target(target))
    return {
        name
        for name, comparison in zip(kernels, times, strict=True)
        if min(comparison["manual"]) > MIN_SPEEDUP * min(comparison["auto"])
    }


def time_candidates(candidates: dict[str, str], target: str) -> dict[str, list[float]]:
    """`time_interleaved` for one kernel, in a worker; modules and target are TVM's JSON."""
    device, evaluators, expected = tvm.cpu(), {}, None
    for name, text in candidates.items():
        module = tvm.ir.load_json(text)
        library = generate(module, tvm.ir.load_json(target)).jit()
        *_, out = module[ENTRY].params
        blank = np.zeros([int(extent) for extent in out.shape], str(out.dtype))
        tensors = run_kernel(library, device, random_inputs(module[ENTRY]), blank)
        found = tensors[-1].numpy()
        expected = found if expected is None else expected
        check(found, expected)
        once = library.time_evaluator(ENTRY, device, number=1, repeat=3)(*tensors).min
        calls = max(1, int(SAMPLE_SECONDS / once))
        evaluators[name] = (library.time_evaluator(ENTRY, device, number=calls), tensors)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, (evaluator, tensors) in evaluators.items():
            times[name].append(float(evaluator(*tensors).mean))
    return times
