"""Contests: turns are taken, cheats are noticed, and only what is clearly faster wins."""

import pytest
import tvm
from tvm import s_tir

from lprnet.compiler.codegen import tvm_target
from lprnet.support.errors import UserError
from lprnet.tuning.measurement import compare_kernels as contest
from lprnet.tuning.measurement.compare_kernels import ROUNDS, faster_kernels, hold_contests
from lprnet.tuning.space.tasks import single
from schedules.direct_conv2d import schedule_conv2d
from schedules.register_tiles import Tile
from schedules.workloads.float import Conv2d
from tests.tuning.conftest import TARGET

CONV = Conv2d(4, 8, 8, 1, 1, 8, 8)


def scheduled(workload: Conv2d) -> tvm.IRModule:
    sch = s_tir.Schedule(single(workload))
    schedule_conv2d(sch, Tile(1, 4, 1), TARGET.isa)
    return sch.mod


@pytest.mark.isa(TARGET.name)
def test_everyone_takes_every_turn_and_nobody_computes_something_else() -> None:
    honest = {"plain": single(CONV), "tiled": scheduled(CONV)}
    (times,) = hold_contests([honest], tvm_target(TARGET))
    assert {name: len(samples) for name, samples in times.items()} == dict.fromkeys(honest, ROUNDS)
    assert min(min(samples) for samples in times.values()) > 0
    cheat = {"plain": single(CONV), "linear": scheduled(Conv2d(4, 8, 8, 1, 1, 8, 8, relu=False))}
    with pytest.raises(RuntimeError, match="could not be timed: WrongResult"):
        hold_contests([cheat], tvm_target(TARGET))


def test_auto_wins_only_beyond_the_clocks_error(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {
        "faster": ([2.0, 1.0, 3.0], [0.9, 2.0, 2.0]),
        "within the error": ([1.0, 1.0], [0.995, 1.1]),
        "slower": ([1.0, 1.0], [1.2, 1.2]),
    }
    module = tvm.IRModule({name: CONV.prim_func() for name in seconds})
    times = [{"manual": manual, "auto": auto} for manual, auto in seconds.values()]
    monkeypatch.setattr(contest, "hold_contests", lambda contests, target: times)
    monkeypatch.setattr(contest, "cpu_flags", lambda: frozenset(TARGET.flags))
    assert faster_kernels(module, module, list(seconds), TARGET) == {"faster"}


def test_another_cpus_kernels_cannot_be_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "cpu_flags", lambda: frozenset(TARGET.flags) - {"avx2"})
    with pytest.raises(UserError, match="this CPU lacks avx2; build with --schedule manual"):
        faster_kernels(tvm.IRModule(), tvm.IRModule(), [], TARGET)
