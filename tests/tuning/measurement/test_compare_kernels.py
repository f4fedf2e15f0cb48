"""Kernels compared by interleaved timing: wrong results are refused, and only clear gains count."""

import pytest
import tvm
from tvm import s_tir

from lprnet.compiler import targets
from lprnet.compiler.codegen import tvm_target
from lprnet.support.errors import UserError
from lprnet.tuning.measurement import compare_kernels
from lprnet.tuning.measurement.compare_kernels import ROUNDS, faster_kernels, time_interleaved
from lprnet.tuning.space.tasks import single
from schedules.apply import schedule
from schedules.direct_conv2d import schedule_conv2d
from schedules.register_tiles import Tile
from schedules.workloads.float import Conv2d
from schedules.workloads.integer import QuantizedConv2d
from tests.tuning.conftest import TARGET

CONV = Conv2d(4, 8, 8, 1, 1, 8, 8)


def scheduled(workload: Conv2d) -> tvm.IRModule:
    sch = s_tir.Schedule(single(workload))
    schedule_conv2d(sch, Tile(1, 4, 1), TARGET.isa)
    return sch.mod


@pytest.mark.isa(TARGET.name)
def test_every_candidate_is_timed_in_every_round_and_a_wrong_result_is_refused() -> None:
    equal = {"plain": single(CONV), "tiled": scheduled(CONV)}
    (times,) = time_interleaved([equal], tvm_target(TARGET))
    assert {name: len(samples) for name, samples in times.items()} == dict.fromkeys(equal, ROUNDS)
    assert min(min(samples) for samples in times.values()) > 0
    wrong = {"plain": single(CONV), "linear": scheduled(Conv2d(4, 8, 8, 1, 1, 8, 8, relu=False))}
    with pytest.raises(RuntimeError, match="could not be timed: WrongResult"):
        time_interleaved([wrong], tvm_target(TARGET))


@pytest.mark.parametrize(
    ("name", "block"),
    [
        pytest.param(name, block, marks=pytest.mark.isa(name))
        for name, block in (("broadwell", 8), ("icelake-server", 32))
    ],
)
def test_padded_channels_of_integer_convolutions_are_compared_as_networks_have_them(
    name: str, block: int
) -> None:
    """Schedules by hand leave out what pads 20 channels to whole vectors."""
    target = targets.find_target(name)
    workload = QuantizedConv2d(4, 8, 16, 3, 1, 20, block, 255, True)
    function, _ = schedule(workload, target.isa)
    by_hand = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    time_interleaved([{"plain": single(workload), "by hand": by_hand}], tvm_target(target))


def test_auto_replaces_manual_only_from_the_minimal_speedup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = {
        "faster": ([2.0, 1.0, 3.0], [0.9, 2.0, 2.0]),
        "within the error": ([1.0, 1.0], [0.995, 1.1]),
        "slower": ([1.0, 1.0], [1.2, 1.2]),
    }
    module = tvm.IRModule({name: CONV.prim_func() for name in seconds})
    times = [{"manual": manual, "auto": auto} for manual, auto in seconds.values()]
    monkeypatch.setattr(compare_kernels, "time_interleaved", lambda comparisons, target: times)
    monkeypatch.setattr(targets, "cpu_flags", lambda: frozenset(TARGET.flags))
    assert faster_kernels(module, module, list(seconds), TARGET) == {"faster"}


def test_another_cpus_kernels_cannot_be_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "cpu_flags", lambda: frozenset(TARGET.flags) - {"avx2"})
    with pytest.raises(UserError, match="This CPU lacks avx2 .* build with --schedule manual"):
        faster_kernels(tvm.IRModule(), tvm.IRModule(), [], TARGET)
