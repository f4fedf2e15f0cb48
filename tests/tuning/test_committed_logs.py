"""The committed logs can be read, and have every kernel of the default model."""

from pathlib import Path

import pytest

from lprnet.compiler.lower import lower
from lprnet.compiler.targets import find_target
from lprnet.tuning import LOGS
from lprnet.tuning.log.database import TRIALS, open_log
from lprnet.tuning.log.trials import read_trials
from lprnet.tuning.space.tasks import find_tasks, kernel_name
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.prepared import prepared
from tests.shared_results import SharedResults

VARIANTS: dict[str, tuple[str | None, str | None, int]] = {
    "fp32": (None, None, 2000),
    "int8": ("static", None, 2000),
    "int8-structured": ("static", "structured", 900),
}
"""Variant to `--quantized`, `--pruned`, and the least number of trials in its log."""
COMMITTED = sorted(manifest.parent for manifest in LOGS.glob("*/*/manifest.json"))


@pytest.mark.parametrize("directory", COMMITTED, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_fresh_clone_finds_a_record_for_every_kernel(
    directory: Path, shared_results: SharedResults
) -> None:
    log = open_log(directory)
    trials = read_trials(directory / TRIALS)
    quantized, pruned, fewest = VARIANTS[directory.name]
    assert log.manifest.trials == len(trials) >= fewest
    assert log.manifest.valid >= 0.98 * len(trials)
    assert len({(trial.kernel, trial.candidate) for trial in trials}) == len(trials)
    isa = find_target(directory.parent.name).isa
    network, *_ = shared_results.call(prepared, DEFAULT_CHECKPOINT, None, quantized, pruned)
    tasks = find_tasks(lower(network, isa))
    known = {trial.kernel for trial in trials}
    for task in tasks:
        assert kernel_name(task.workload) in known
        function, description = log.schedule(task.kernel, task.workload)
        assert description
        assert len(function.params) == len(task.workload.prim_func().params)
