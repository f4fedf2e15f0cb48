"""Budgets: errors add up, the cheapest widths win, and impossible budgets are refused."""

from collections.abc import Mapping

import pytest
import torch
import tvm
from hypothesis import given
from hypothesis import strategies as st

from lprnet.compiler.complexity import count_macs
from lprnet.compression.compact import CompactNetwork
from lprnet.compression.prune.width_search import (
    Candidate,
    Point,
    greedy_widths,
    layer_sensitivity,
    planned_macs,
    smallest_within,
    sweep,
)
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.model.conv_graph import weight_and_bias
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import BACKBONE_NAMES, LPRNET_CHINA
from lprnet.support.errors import UserError

CANDIDATES = [
    Candidate("a", 16, 0.1),
    Candidate("a", 8, 5.0),
    Candidate("b", 16, 1.0),
    Candidate("b", 8, 1.2),
]


def work(widths: Mapping[str, int]) -> float:
    """Two layers in a row, of 24 channels each: their product, as of a convolution."""
    return widths.get("a", 24) * widths.get("b", 24)


def test_the_cheapest_widths_win() -> None:
    assert greedy_widths(CANDIDATES, work, work, 600) == {}
    assert greedy_widths(CANDIDATES, work, work, 400) == {"a": 16}
    assert greedy_widths(CANDIDATES, work, work, 300) == {
        "a": 16,
        "b": 8,
    }  # past b's dearer half-way stop
    assert greedy_widths(CANDIDATES, work, work, 64) == {"a": 8, "b": 8}
    with pytest.raises(UserError, match="no narrower layers lead to"):
        greedy_widths(CANDIDATES, work, work, 63)


def test_widths_that_save_no_vector_are_dear() -> None:
    """Nine channels take two vectors of eight as twelve do; eight take one."""

    def vectors(widths: Mapping[str, int]) -> float:
        return 8.0 * sum(-(-widths.get(name, 12) // 8) for name in "ab")

    def channels(widths: Mapping[str, int]) -> float:
        return float(sum(widths.get(name, 12) for name in "ab"))

    candidates = [Candidate("a", 9, 0.1), Candidate("b", 8, 0.2)]
    assert greedy_widths(candidates, channels, channels, 22) == {"a": 9}
    assert greedy_widths(candidates, channels, vectors, 22) == {"b": 8}


@given(st.integers(64, 700))
def test_budgets_are_met(target: int) -> None:
    assert work(greedy_widths(CANDIDATES, work, work, target)) <= target


def test_the_smallest_that_is_good_enough() -> None:
    reduced = ReducedNetwork(tvm.IRModule({}), (), LPRNET_CHINA, None)
    sizes = ((30, 0.90), (20, 0.89), (10, 0.7))
    points = [Point({}, macs, accuracy, reduced) for macs, accuracy in sizes]
    assert smallest_within(points, 0.89).macs == 20
    with pytest.raises(UserError, match="no pruned network"):
        smallest_within(points, 0.95)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 3, 24, 94, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture(scope="module")
def reduced() -> ReducedNetwork:
    """Four channels a layer, so that each has one candidate."""
    torch.manual_seed(0)
    model = LPRNet(context_means=(1.0,) * 4).eval()
    with torch.no_grad():
        for layer in LPRNET_CHINA.backbone:
            weight, bias = weight_and_bias(model, layer.name)
            torch.nn.init.kaiming_normal_(weight)
            bias.zero_()
            weight[torch.arange(len(weight)) % 4 != 0] = 0.0
            weight[16:] = 0.0
    return reduce(model)


@pytest.fixture(scope="module")
def candidates(reduced: ReducedNetwork, images: torch.Tensor) -> list[Candidate]:
    return layer_sensitivity(reduced.compact, images, step=2)


def test_a_sweep_meets_its_targets(
    reduced: ReducedNetwork, images: torch.Tensor, candidates: list[Candidate]
) -> None:
    whole = count_macs(reduced.module)
    assert {candidate.name for candidate in candidates} == set(BACKBONE_NAMES)
    assert planned_macs(reduced.compact, {}) == whole
    assert planned_macs(reduced.compact, {}, lanes=16) > 3 * whole
    (point,) = sweep(reduced, images, candidates, [whole * 4 // 5], lambda pruned: 1.0)
    assert point.macs == count_macs(point.network.module) <= whole * 4 // 5
    biases = point.network.compact.biases
    assert all(len(biases[name]) <= width for name, width in point.widths.items())


def test_budgets_hold_where_plans_do_not(
    reduced: ReducedNetwork,
    images: torch.Tensor,
    candidates: list[Candidate],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What consumers of every second channel lose is only known after pruning."""

    def hopeful(network: CompactNetwork, widths: Mapping[str, int], lanes: int = 1) -> float:
        return planned_macs(network, widths, lanes) * 0.9

    monkeypatch.setattr("lprnet.compression.prune.width_search.planned_macs", hopeful)
    target = count_macs(reduced.module) * 4 // 5
    (point,) = sweep(reduced, images, candidates, [target], lambda pruned: 1.0)
    assert point.macs <= target
