"""The database of a log: records are found again, and never under another workload."""

from pathlib import Path

import pytest
from tvm import s_tir
from tvm.s_tir import meta_schedule as ms

from lprnet.compiler.codegen import tvm_target
from lprnet.support.errors import UserError
from lprnet.tuning.log.database import RECORDS, WORKLOADS, open_log, workload_line, write_database
from lprnet.tuning.log.manifest import write_manifest
from lprnet.tuning.log.trials import Trial
from lprnet.tuning.space.algorithms import Tunable, Winograd, canonical
from lprnet.tuning.space.sketches import sketches
from lprnet.tuning.space.tasks import Task, kernel_module, kernel_name
from schedules.workloads.float import AveragePool, Conv2d
from tests.tuning.conftest import MANIFEST, TARGET

CONV = Conv2d(6, 10, 8, 3, 1, 11, 16)
WINOGRAD = Winograd(CONV, 3, TARGET.isa)
POOL = AveragePool(1, 4, 16, (4, 2), (4, 2))
SECONDS: dict[Tunable, float] = {CONV: 2e-6, WINOGRAD: 1e-6, POOL: 3e-6}


def write(directory: Path, *workloads: Tunable) -> None:
    best = []
    for workload in workloads:
        module = kernel_module(workload)
        trace = sketches(s_tir.Schedule(module), workload, TARGET.isa)[0].trace
        record = ms.database.TuningRecord(
            trace,
            ms.database.Workload(module),
            [9.0],
            tvm_target(TARGET),
            ms.arg_info.ArgInfo.from_prim_func(module["main"]),
        )
        trial = Trial(kernel_name(workload), "00", SECONDS[workload], None, record.as_json())
        best.append([trial])
    write_database(directory, [workload_line(workload) for workload in workloads], best)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_manifest(MANIFEST, tmp_path)
    return tmp_path


def test_the_fastest_algorithm_is_found(directory: Path) -> None:
    write(directory, CONV, WINOGRAD, POOL)
    log = open_log(directory)
    assert log.tasks() == [
        Task(kernel_name(workload), canonical(workload), 0) for workload in (CONV, WINOGRAD, POOL)
    ]
    algorithm, record = log.record("conv", CONV)
    assert (algorithm, float(record.run_secs[0])) == (WINOGRAD, 1e-6)
    function, description = log.schedule("conv", CONV)
    assert description == str(WINOGRAD.tiles[0])
    assert len(function.params) == len(CONV.prim_func().params)
    assert log.record("pool", POOL)[0] == POOL
    with pytest.raises(UserError, match="no record for the kernel other"):
        log.record("other", Conv2d(6, 10, 9, 3, 1, 16, 16))


def test_records_never_stand_under_other_workloads(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the process is killed between the two files, a longer list keeps the old records, and any
    other list drops them.
    """
    write(directory, CONV)
    replace = Path.replace

    def killed(partial: Path, path: Path) -> Path:
        if path.name == RECORDS:
            raise KeyboardInterrupt
        return replace(partial, path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write(directory, CONV, POOL)
        assert open_log(directory).record("conv", CONV)[0] == CONV
        with pytest.raises(KeyboardInterrupt):
            write(directory, POOL, CONV)
    assert (directory / WORKLOADS).exists()
    assert not (directory / RECORDS).exists()
    with pytest.raises(UserError, match="cannot be read"):
        open_log(directory)
    write(directory, POOL)
    assert open_log(directory).record("pool", POOL)[0] == POOL
