"""The estimate for AMX: parts against what was measured, and the files of one variant."""

import json
from pathlib import Path

import pytest

from lprnet.reports.prediction import amx
from lprnet.reports.prediction.amx import microseconds, predict_amx
from lprnet.reports.prediction.render_amx import NAME, write_amx
from lprnet.weights import DEFAULT_CHECKPOINT
from schedules.workloads.float import Conv2d, MaxPool
from schedules.workloads.integer import DequantizedAveragePool, GroupChannels
from schedules.workloads.stack_rows import StackRows
from schedules.workloads.window_sums import SumConv, SumPool
from schedules.workloads.workload import Workload

MEASURED: dict[Workload, float] = {
    DequantizedAveragePool(1, 18, 32, (20, 5), (1, 5), 0.1): 0.79,
    SumPool(1, 18, 80, (20, 5), (1, 5)): 1.85,
    SumPool(1, 18, 32, (16, 10), (1, 2)): 0.25,
    MaxPool(20, 90, 1, 32, "uint8"): 1.35,
    MaxPool(18, 44, 2, 64, "uint8"): 1.35,
    MaxPool(16, 21, 2, 32, "uint8"): 0.33,
    GroupChannels(24, 94, 3): 0.34,
    StackRows(22, 94, 3, 3): 0.35,
    Conv2d(1, 18, 192, 1, 1, 68, 16, False): 3.60,
    SumConv(1, 18, (32, 80, 32, 48), 68, 80): 1.68,
}
"""Kernels of our structured int8 artifact by VNNI, each alone, in microseconds. As kernels in C
took them with the same loads, products and stores: average pools and sums, the max pool of 64
channels, stacked rows.
"""


@pytest.mark.parametrize("kernel", MEASURED, ids=lambda kernel: kernel.name)
def test_kernels_without_tiles(kernel: Workload) -> None:
    assert microseconds(kernel) == pytest.approx(MEASURED[kernel], rel=0.15)


def test_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amx, "ROWS", amx.ROWS[2:3])
    (estimate,) = predict_amx(DEFAULT_CHECKPOINT, None)
    assert estimate.variant == "bf16"
    parts = sum(one.microseconds for one in estimate.kernels)
    assert estimate.convolutions + estimate.others == pytest.approx(parts)
    tiles = [one for one in estimate.kernels if one.tiles]
    assert len(tiles) >= 9
    assert {one.kernel[:5] for one in tiles} == {"bconv"}
    alone = parts + amx.PYTHON
    assert estimate.plate == pytest.approx(alone + amx.BETWEEN * len(tiles), rel=0.1)
    write_amx([estimate], tmp_path)
    (stored,) = json.loads((tmp_path / f"{NAME}.json").read_text())
    assert stored["plate"] == estimate.plate
    table = (tmp_path / f"{NAME}.md").read_text()
    assert f"| bf16 | {estimate.convolutions:.1f} |" in table
    assert f"| our float32 | 493 | {estimate.plate / 493:.2f} |" in table
    assert "| int8, 1x1, 32 to 32, 20x90 |" in table
    assert "No artifact of ours was timed" in table
