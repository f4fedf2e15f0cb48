"""From samples to a comparison, and from a comparison to tables, sentences and JSON."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console
from tvm import s_tir

from lprnet.compiler import targets
from lprnet.compiler.targets import find_target
from lprnet.measure.timing import record
from lprnet.reports.schedule_comparison import compare
from lprnet.reports.schedule_comparison.compare import (
    Comparison,
    ComparisonOptions,
    KernelTimes,
    kernel_times,
)
from lprnet.reports.schedule_comparison.render import as_json, describe, plot_shares, tables
from lprnet.support.errors import UserError
from lprnet.tuning.space.algorithms import Tunable, Winograd, reference_of
from lprnet.tuning.space.sketches import sketches
from lprnet.tuning.space.tasks import Task, single
from lprnet.weights import DEFAULT_CHECKPOINT
from schedules.isa import AVX2
from schedules.workloads.float import Conv2d, MaxPool
from schedules.workloads.integer import QuantizedConv2d

CONV = Conv2d(6, 12, 8, 3, 1, 16, 16)
POOL = MaxPool(4, 6, 2, 16)


def timed(workload: Tunable, manual: float, by_hand: str) -> KernelTimes:
    """`auto` takes 1 µs with the first sketch of `workload`."""
    name = workload.name
    trace = sketches(s_tir.Schedule(single(workload)), workload, AVX2)[0].trace
    samples = {"none": [9e-6, 8e-6], "auto": [1.5e-6, 1e-6], "manual": [2 * manual, manual]}
    found = SimpleNamespace(trace=trace)
    return kernel_times(Task(name, reference_of(workload), 1), samples, workload, found, by_hand)


@pytest.mark.parametrize(
    ("manual", "hybrid"), [(2e-6, 1e-6), (1.001e-6, 1.001e-6), (0.5e-6, 0.5e-6)]
)
def test_hybrid_is_manual_unless_auto_is_clearly_faster(manual: float, hybrid: float) -> None:
    times = timed(CONV, manual, "1x6 pixels x 2 vectors")
    assert times.seconds == {"none": 8e-6, "auto": 1e-6, "manual": manual, "hybrid": hybrid}
    assert times.gflops("auto") == pytest.approx(2 * CONV.macs / 1e-6 / 1e9)


def test_differences_of_the_automatic_schedule() -> None:
    assert (
        "instead of 9x9 pixels x 9 vectors"
        in timed(CONV, 1e-6, "9x9 pixels x 9 vectors").differences[0]
    )
    algorithm = Winograd(CONV, 2, AVX2)
    by_hand = "1x6 pixels x 2 vectors"
    assert timed(algorithm, 1e-6, by_hand).differences == (
        f"takes {algorithm.tiles[0]} instead of {by_hand}",
    )
    assert timed(algorithm, 1e-6, str(algorithm.tiles[0])).differences == ()
    (difference,) = timed(POOL, 1e-6, "nothing").differences
    assert difference.startswith("takes 1x")
    assert difference.endswith("vectors a row tile instead of nothing")


@pytest.fixture
def comparison() -> Comparison:
    records = [
        record(
            np.array([1.0, 2.0]),
            variant="fp32",
            engine=f"lprnet, {origin} schedules",
            isa="broadwell",
            batch=1,
            warm_up=0,
        )
        for origin in ("manual", "auto", "hybrid", "none")
    ]
    kernels = (timed(CONV, 2e-6, "9x9 pixels x 9 vectors"), timed(POOL, 0.5e-6, "nothing"))
    return Comparison(
        "fp32", "broadwell", "broadwell", 100.0, 400.0, 200.0, kernels, tuple(records), ()
    )


def test_tables_name_every_kernel_and_every_build(comparison: Comparison) -> None:
    console = Console(file=StringIO(), width=200)
    for table in tables(comparison):
        console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    conv, pool = (next(line for line in text.splitlines() if k.name in line) for k in (CONV, POOL))
    cells = [cell.strip() for cell in conv.split("│")[2:-1]]
    share = 100 * 2 * CONV.macs / 1e-6 / 1e9 / 100
    assert cells == ["1.0", "2.0", "1.0", "2.00", f"{share:.0f}", "8.0", f"{CONV.macs / 1e6:.2f}"]
    assert [cell.strip() for cell in pool.split("│")[2:-1]] == [
        *("1.0", "0.5", "0.5", "0.50", "", "8.0", ""),
    ]
    for origin in ("manual", "auto", "hybrid", "none"):
        assert f"lprnet, {origin} schedules" in text


def test_a_sentence_a_kernel(comparison: Comparison) -> None:
    conv, pool = describe(comparison)
    assert conv.startswith(f"{CONV.name}: auto keeps ")
    assert conv.endswith("2.00 times as fast as manual.")
    assert pool.endswith("2.00 times slower.")


def test_json_and_picture(comparison: Comparison, tmp_path: Path) -> None:
    content = json.loads(json.dumps(as_json(comparison)))
    conv, pool = content["kernels"]
    assert conv["seconds"] == {"none": 8e-6, "auto": 1e-6, "manual": 2e-6, "hybrid": 1e-6}
    assert conv["share_of_peak"]["auto"] == pytest.approx(2 * CONV.macs / 1e-6 / 1e9 / 100)
    assert (pool["kernel"], pool["macs"]) == (POOL.name, 0)
    assert len(content["records"]) == 4
    plot_shares(comparison, tmp_path / "shares.png")
    assert imread(tmp_path / "shares.png").shape[1] > 500
    assert [file.name for file in tmp_path.iterdir()] == ["shares.png"]


def test_an_integer_kernel_is_compared_with_the_integer_peak(
    comparison: Comparison, tmp_path: Path
) -> None:
    """One of 400 billion operations a second, the other of 100."""
    integer = QuantizedConv2d(6, 12, 8, 3, 1, 16, 16, 255)
    times = timed(integer, 2e-6, "9x9 pixels x 9 vectors")
    both = replace(comparison, kernels=(times, *comparison.kernels))
    rate = 2 * integer.macs / 1e-6 / 1e9
    quantized, conv, _ = as_json(both)["kernels"]
    assert quantized["share_of_peak"]["auto"] == pytest.approx(rate / 400)
    assert conv["share_of_peak"]["auto"] == pytest.approx(rate / 100)
    assert quantized["share_of_word_peak"]["auto"] == pytest.approx(rate / 200)
    assert conv["share_of_word_peak"]["auto"] is None
    assert (quantized["arithmetic"], conv["arithmetic"]) == ("bytes", "float32")
    console = Console(file=StringIO(), width=200)
    console.print(tables(both)[0])
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "100 GFLOP/s in float32, 400 GOP/s in int8, 200 in int16 (vpmaddwd)" in " ".join(
        text.split()
    )
    line = next(line for line in text.splitlines() if integer.name in line)
    shares = [cell.strip() for cell in line.split("│")[-5:-3]]
    assert shares == [f"{100 * rate / 400:.0f}", f"{100 * rate / 200:.0f}"]
    line = next(line for line in text.splitlines() if f" {CONV.name} " in line)
    assert line.split("│")[-4].strip() == ""
    plot_shares(both, tmp_path / "shares.png")
    console = Console(file=StringIO(), width=200)
    console.print(tables(comparison)[0])
    assert "in int8" not in console.file.getvalue()  # type: ignore[attr-defined]


def test_what_cannot_be_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = ComparisonOptions(DEFAULT_CHECKPOINT, None, None, None, "broadwell", tmp_path)
    with pytest.raises(UserError, match="there is no tuning log for broadwell fp32"):
        compare.compare_schedules(request)
    flags = frozenset(find_target("broadwell").flags) - {"fma"}
    monkeypatch.setattr(targets, "cpu_flags", lambda: flags)
    with pytest.raises(UserError, match="This CPU lacks fma and cannot run broadwell code"):
        compare.compare_schedules(request)
