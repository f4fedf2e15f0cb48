"""What widths cost on tile registers, against the kernels of the published network."""

from collections.abc import Sequence

import pytest
import torch

from lprnet.compression.prune.tile_cost import tile_cycles
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.model.checkpoint import load_model
from schedules.amx.conv_tiles import choose_tiles, cycles
from schedules.workloads.bfloat16 import Bf16TileConv2d
from tests.third_party_lprnet import ThirdPartyLPRNet, seeded, state_of


@pytest.fixture(scope="module")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> ReducedNetwork:
    """All channels of its layers live."""
    path = tmp_path_factory.mktemp("network") / "narrow.pth"
    torch.save(state_of(seeded(ThirdPartyLPRNet(11, widths=(64, 64, 64, 64, 32)))), path)
    model = load_model(path)
    model.context_means = (1.0,) * 4
    return reduce(model)


def predicted(size: Sequence[int], stored: int, kernel: tuple[int, int], width: int) -> float:
    """Cycles of one layer with `width` output channels."""
    rows, columns = size
    workload = Bf16TileConv2d(rows, columns, stored, *kernel, width, 16)
    return sum(cycles(group, workload) for group in choose_tiles(workload))


def test_only_whole_tiles_save(reduced: ReducedNetwork) -> None:
    network, last = reduced.compact, "backbone.4.block.6"
    whole = tile_cycles(network, {})
    count = len(network.biases[last])
    assert count == 64
    assert whole - 10 < tile_cycles(network, {last: count - 15}) < whole
    assert tile_cycles(network, {last: count - 16}) < whole - 1000


def test_a_layer_and_its_consumer_save_what_their_kernels_cost(reduced: ReducedNetwork) -> None:
    """Both kernels, of the layer that is narrowed to one channel and of the next."""
    network, narrowed = reduced.compact, "backbone.0"
    architecture, shapes = network.architecture, network.architecture.shapes()
    layer, consumer = architecture.conv(narrowed), architecture.conv("backbone.4.block.0")
    out, last = (len(network.biases[one.name]) for one in (layer, consumer))
    assert out == network.weights[consumer.name].shape[1] == 64

    def both(width: int, stored: int) -> float:
        return predicted(shapes[layer.name][1:], 4, layer.kernel, width) + predicted(
            shapes[consumer.name][1:], stored, consumer.kernel, last
        )

    saved = tile_cycles(network, {}) - tile_cycles(network, {narrowed: 1})
    assert saved == pytest.approx(both(64, 64) - both(1, 16), abs=10)
    assert saved > 10_000
