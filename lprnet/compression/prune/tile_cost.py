"""What a width costs where convolutions run on tile registers (AMX).

There the time of a layer is its tiles, not its multiplications: output channels count in 16s, input
channels are free up to the next 64 bytes (`schedules/amx/conv_tiles.py`). So a layer of many pixels
with 77 output channels gains by 64, and one with 40 input channels gains nothing by 33.
"""

from collections.abc import Mapping
from functools import lru_cache

from lprnet.compression.compact import CompactNetwork
from lprnet.compression.prune.width_search import planned_macs
from schedules.amx.conv_tiles import choose_tiles, cycles
from schedules.dot4_intrinsics import GROUP
from schedules.workloads.bfloat16 import Bf16TileConv2d
from schedules.workloads.tile_conv import COLUMNS


def tile_cycles(network: CompactNetwork, widths: Mapping[str, int]) -> float:
    """Predicted cycles of the convolutions that `network` would have with `widths`, in bfloat16.

    A layer that reads some channels of its producer only is assumed to keep its share, as in
    `planned_macs`. A million multiply-accumulates count as one cycle, so that a budget of them can
    be met where no tile is saved.
    """
    architecture, shapes = network.architecture, network.architecture.shapes()
    counts = {name: len(bias) for name, bias in network.biases.items()}
    kept = {name: min(widths.get(name, count), count) for name, count in counts.items()}
    total = planned_macs(network, widths) / 1e6
    for conv in architecture.backbone:
        _, height, width = shapes[conv.name]
        channels = network.weights[conv.name].shape[1]
        producer = architecture.producer(conv)
        if producer is None:
            stored = _whole(channels, GROUP)
        else:
            read = channels * kept[producer.name] / counts[producer.name]
            stored = _whole(max(round(read), 1), COLUMNS)
        total += _layer(height, width, stored, *conv.kernel, kept[conv.name])
    return total


@lru_cache(maxsize=1024)
def _layer(height: int, width: int, stored: int, rows: int, columns: int, kept: int) -> float:
    """A search asks for the same layers thousands of times."""
    workload = Bf16TileConv2d(height, width, stored, rows, columns, kept, COLUMNS)
    return sum(cycles(group, workload) for group in choose_tiles(workload))


def _whole(channels: int, step: int) -> int:
    return -(-channels // step) * step
