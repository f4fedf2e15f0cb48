"""The estimate for AMX as a JSON file and as Markdown tables."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lprnet.reports.markdown import markdown_table
from lprnet.reports.prediction.amx import GHZ, PYTHON, AmxEstimate, microseconds
from lprnet.reports.prediction.amx_layers import BF16, INT8, Layer
from lprnet.support.atomic_file import atomic_write
from schedules.workloads.bfloat16 import Bf16TileConv2d
from schedules.workloads.tile_conv import COLUMNS, TileConv2d

NAME = "xeon-amx-predicted"
HEAD = f"""\
# Predicted speed on a Xeon with AMX: an estimate

Made by `lprnet predict --amx`, which overwrites it. **No artifact of ours was timed on AMX.** The
estimate adds up what parts of kernels cost on one core of a Xeon with AMX ({GHZ} GHz while tiles
multiply): for convolutions the model that also chooses their tiles (`schedules/amx/conv_tiles.py`),
for pools and the last layer in integers the cost of a cache line or a value in kernels in C with
the same loads, products and stores, for other kernels that of a value in our VNNI code; pools of
bfloat16, which were not measured, take as long for a byte. "Between" is what convolutions take
longer in a network than alone, a plate includes {PYTHON:.0f} us of a call from Python. The last
columns compare with what was measured on that core from Python, in one run.

"""
LAYERS = """
## Layers

The model beside kernels in C with the same pipeline, which were measured on that core, each alone.

"""


def write_amx(estimates: Sequence[AmxEstimate], folder: Path) -> None:
    """Write `xeon-amx-predicted.json` and `.md` in `folder`. Raises `UserError` if it cannot."""
    values = json.dumps([dataclasses.asdict(one) for one in estimates], indent=1) + "\n"
    for ending, text in (("json", values), ("md", markdown(estimates))):
        with atomic_write(folder / f"{NAME}.{ending}") as partial:
            partial.write_text(text, encoding="utf-8")


def markdown(estimates: Sequence[AmxEstimate]) -> str:
    """A table of all variants, then the model's layers beside the measured ones."""
    columns = (
        *("variant", "convolutions, us", "other kernels, us", "between, us", "a plate, us"),
        *("compared with", "measured, us", "x"),
    )
    table = markdown_table(columns, [row for one in estimates for row in _rows(one)])
    layers = [
        *_layers("int8", INT8, lambda layer: TileConv2d(*layer, COLUMNS, 255)),
        *_layers("bf16", BF16, lambda layer: Bf16TileConv2d(*layer, COLUMNS)),
    ]
    head = ("layer", "predicted, us", "measured in C, us", "ratio")
    return f"{HEAD}{table}\n{LAYERS}{markdown_table(head, layers)}\n"


def _rows(one: AmxEstimate) -> list[tuple[str, ...]]:
    """One for each measured time that it is compared with."""
    parts = (one.convolutions, one.others, one.between, one.plate)
    times = [f"{part:.1f}" for part in parts]
    return [
        (one.variant, *times, name, f"{measured:.0f}", f"{one.plate / measured:.2f}")
        for name, measured in one.measured.items()
    ]


def _layers(
    arithmetic: str,
    measured: Mapping[Layer, float],
    workload: Callable[[Layer], TileConv2d | Bf16TileConv2d],
) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for layer, seen in measured.items():
        height, width, channels, rows_, columns, out_channels = layer
        name = f"{arithmetic}, {rows_}x{columns}, {channels} to {out_channels}, {height}x{width}"
        predicted = microseconds(workload(layer))
        rows.append((name, f"{predicted:.2f}", f"{seen:.2f}", f"{predicted / seen:.2f}"))
    return rows
