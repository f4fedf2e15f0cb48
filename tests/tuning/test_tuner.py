"""A tuning run from end to end: what it writes, how it continues, and that it can be killed."""

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import tvm

from lprnet.compiler.codegen import generate, tvm_target
from lprnet.support.errors import UserError
from lprnet.tuning.log.database import KEPT, TRIALS, open_log
from lprnet.tuning.log.manifest import read_manifest
from lprnet.tuning.log.trials import Trial, read_trials
from lprnet.tuning.measurement.kernel_timing import check, random_inputs, run_kernel
from lprnet.tuning.measurement.local import LocalMeasurer
from lprnet.tuning.search import Learning, Search
from lprnet.tuning.space.tasks import Task, shared_tasks
from lprnet.tuning.tuner import Tuner
from schedules.workloads.float import AveragePool, Conv2d
from tests.processes import SECONDS, forked_group, wait_until
from tests.tuning.conftest import MANIFEST, TARGET, TASKS, Small


def tune(directory: Path, scratch: Path, trials: int) -> None:
    """What a process does that is killed."""
    with LocalMeasurer() as measurer:
        tuner = Tuner(TASKS, tvm_target(TARGET), TARGET.isa, MANIFEST, directory, scratch, 4)
        print("tuning", flush=True)
        tuner.run(trials, measurer, lambda added: None)


def test_a_run_and_its_continuation(small: Small) -> None:
    added: list[int] = []
    with LocalMeasurer() as measurer:
        first = small.tuner()
        first.run(10, measurer, added.append)
        first.trial_log.close()
        assert sum(added) == 10 == len(first.trial_log.trials)

        second = small.tuner()
        assert len(second.trial_log.trials) == 10
        assert second.seconds == first.seconds
        second.run(16, measurer, added.append)
        second.remeasure_best(measurer, lambda: None)
        second.trial_log.close()

    trials = read_trials(small.directory / TRIALS)
    assert len(trials) == 16
    assert max(Counter((t.kernel, t.candidate) for t in trials).values()) == 1
    assert all(trial.error is None for trial in trials)

    log = open_log(small.directory)
    assert (log.manifest.trials, log.manifest.valid) == (16, 16)
    assert log.manifest.seconds > 0
    per_kernel = Counter(t.kernel for t in trials if t.record)
    assert set(per_kernel.values()) <= set(range(1, KEPT + 1))
    for task in TASKS:
        function, description = log.schedule(task.kernel, task.workload)
        assert description
        plain = task.workload.prim_func()
        inputs = random_inputs(plain)
        *_, out = plain.params
        blank = np.zeros([int(extent) for extent in out.shape], "float32")
        results = [
            run_kernel(
                generate(tvm.IRModule({"main": f}), tvm_target(TARGET)).jit(),
                tvm.cpu(),
                inputs,
                blank,
            )[-1].numpy()
            for f in (plain, function)
        ]
        check(results[1], results[0])
    with pytest.raises(UserError, match=r"has no record for the kernel conv9.*tuned for none"):
        log.schedule("conv9", Conv2d(6, 10, 9, 3, 1, 16, 16))
    assert log.tasks() == [replace(task, calls=0) for task in TASKS]


def test_killed_again_and_again(small: Small, tmp_path: Path) -> None:
    """Every finished trial is there once, and builds can open the log at any time."""
    output = tmp_path / "output"
    folders = (small.directory, tmp_path / "scratch")
    trials_file = small.directory / TRIALS
    moments = Random(7)
    counts = [0]
    for kill in range(10):
        with forked_group(tune, (*folders, 1000), output) as process:
            wait_until(lambda: b"tuning\n" in output.read_bytes(), process, output)
            # Half of them some time into a batch, half some time after one.
            if kill % 2:
                wait_until(lambda: len(_whole_lines(trials_file)) > counts[-1], process, output)
            time.sleep(moments.uniform(0, 0.5))
        counts.append(len(_whole_lines(trials_file)))
        if counts[-1]:
            assert open_log(small.directory).manifest.trials <= counts[-1]
    assert counts == sorted(counts)
    assert counts[-1] >= 5
    with forked_group(tune, (*folders, counts[-1] + 4), output) as process:
        assert process.wait(SECONDS) == 0, output.read_text()
    trials = read_trials(trials_file)
    assert len(trials) == counts[-1] + 4
    assert max(Counter((t.kernel, t.candidate) for t in trials).values()) == 1
    assert open_log(small.directory).manifest.trials == len(trials)


def test_a_run_that_finds_nothing_more_says_so(small: Small) -> None:
    """This kernel has only four schedules; the manifest says why the run has fewer trials."""
    tiny = shared_tasks([[Task("pool", AveragePool(1, 1, 8, (2, 2), (2, 2)), 1)]])
    with LocalMeasurer() as measurer:
        tuner = small.tuner(tiny)
        tuner.run(1000, measurer, lambda added: None)
        found = len(tuner.trial_log.trials)
        assert found == 4
        sentence = read_manifest(small.directory).stopped_early
        assert sentence is not None
        assert sentence.startswith("Tuning stopped after 4 of 1000 trials: the search finds no ")
        tuner.run(found, measurer, lambda added: None)
        assert read_manifest(small.directory).stopped_early is None
        tuner.trial_log.close()


def test_what_an_earlier_run_measured_ends_no_search(tmp_path: Path) -> None:
    """A run that goes on with the same seed proposes the same batch first; it must look further."""

    def search() -> Search:
        learning = Learning(tvm_target(TARGET), TARGET.isa, seed=1, batch=4)
        return Search(TASKS[0], learning, tmp_path / "example.npz")

    first, again = search().propose(), search()
    again.relearn([Trial(TASKS[0].kernel, name, None, "failed", None) for name in first])
    more = again.propose()
    assert first
    assert more
    assert not set(more) & set(first)
    assert not again.progress.exhausted


def _whole_lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()[: path.read_bytes().count(b"\n")] if path.exists() else []
