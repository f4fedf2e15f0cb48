"""Which of several schedules of one kernel is faster, on one idle core, taking turns."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import tvm

from lprnet.compiler.codegen import generate, tvm_target
from lprnet.compiler.targets import Target, cpu_flags
from lprnet.support.errors import UserError
from lprnet.tuning.measurement.measure import ENTRY, check, random_inputs, run_kernel
from lprnet.tuning.measurement.worker_pool import Failure, Workers

ROUNDS = 300
"""So that a contest outlasts most slow spells of a shared machine, for minima are compared."""
CLEARLY_FASTER = 0.99
TURN_SECONDS = 5e-4
"""A turn: calls enough to fill it, at least one."""
CONTEST_SECONDS = 300.0

Contest = Mapping[str, tvm.IRModule]
"""Contestants of one kernel by name, each a module whose only function is `main`."""


def hold_contests(
    contests: Sequence[Contest], target: tvm.target.Target
) -> list[dict[str, list[float]]]:
    """Seconds a call of every contestant in every round, one contest after another.

    Raises `RuntimeError` if a contestant fails or computes something else than the first.
    """
    calls = [
        (
            {name: tvm.ir.save_json(module) for name, module in contest.items()},
            tvm.ir.save_json(target),
        )
        for contest in contests
    ]
    core = frozenset({max(os.sched_getaffinity(0))})
    with Workers(1, core) as workers:
        results = workers.map(hold_contest, calls, CONTEST_SECONDS)
    for result in results:
        if isinstance(result, Failure):
            raise RuntimeError(f"a kernel could not be timed: {result.reason}")
    return results


def faster_kernels(
    manual: tvm.IRModule, auto: tvm.IRModule, kernels: Sequence[str], target: Target
) -> set[str]:
    """Those of `kernels` that are faster in `auto`, by more than the clock can be wrong.

    Raises `UserError` if this CPU cannot run `target`'s code.
    """
    missing = sorted(set(target.flags) - cpu_flags())
    if missing:
        raise UserError(
            f"A hybrid build for {target.name} measures its kernels and this CPU lacks "
            f"{', '.join(missing)}; build with --schedule manual or auto."
        )
    contests = [
        {"manual": tvm.IRModule({ENTRY: manual[name]}), "auto": tvm.IRModule({ENTRY: auto[name]})}
        for name in kernels
    ]
    times = hold_contests(contests, tvm_target(target))
    return {
        name
        for name, contest in zip(kernels, times, strict=True)
        if min(contest["auto"]) < CLEARLY_FASTER * min(contest["manual"])
    }


def hold_contest(contestants: dict[str, str], target: str) -> dict[str, list[float]]:
    """`hold_contests` for one kernel, in a worker; modules and target are TVM's JSON."""
    device, evaluators, expected = tvm.cpu(), {}, None
    for name, text in contestants.items():
        module = tvm.ir.load_json(text)
        library = generate(module, tvm.ir.load_json(target)).jit()
        *_, out = module[ENTRY].params
        blank = np.zeros([int(extent) for extent in out.shape], str(out.dtype))
        tensors = run_kernel(library, device, random_inputs(module[ENTRY]), blank)
        found = tensors[-1].numpy()
        expected = found if expected is None else expected
        check(found, expected)
        once = library.time_evaluator(ENTRY, device, number=1, repeat=3)(*tensors).min
        turn = library.time_evaluator(ENTRY, device, number=max(1, int(TURN_SECONDS / once)))
        evaluators[name] = (turn, tensors)
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, (turn, tensors) in evaluators.items():
            times[name].append(float(turn(*tensors).mean))
    return times
