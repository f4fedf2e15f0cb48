"""Budgets: prices add up, the cheapest cuts win, and impossible budgets are refused."""

from collections.abc import Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lprnet.compression.fold_constants import fold, living_channels, macs
from lprnet.compression.prune.width_search import (
    Cut,
    Point,
    cheapest_widths,
    planned_macs,
    price_cuts,
    smallest_within,
    sweep,
)
from lprnet.model.conv_graph import LAYERS, weight_and_bias
from lprnet.model.lprnet import LPRNet
from lprnet.support.errors import UserError

CUTS = [Cut("a", 16, 0.1), Cut("a", 8, 5.0), Cut("b", 16, 1.0), Cut("b", 8, 1.2)]


def work(widths: Mapping[str, int]) -> float:
    """Two layers in a row, of 24 channels each: their product, as of a convolution."""
    return widths.get("a", 24) * widths.get("b", 24)


def test_the_cheapest_cuts_win() -> None:
    assert cheapest_widths(CUTS, work, work, 600) == {}
    assert cheapest_widths(CUTS, work, work, 400) == {"a": 16}
    assert cheapest_widths(CUTS, work, work, 300) == {
        "a": 16,
        "b": 8,
    }  # past b's dearer half-way stop
    assert cheapest_widths(CUTS, work, work, 64) == {"a": 8, "b": 8}
    with pytest.raises(UserError, match="no cuts lead to"):
        cheapest_widths(CUTS, work, work, 63)


def test_cuts_that_save_no_vector_are_dear() -> None:
    """Nine channels take two vectors of eight as twelve do; eight take one."""

    def vectors(widths: Mapping[str, int]) -> float:
        return 8.0 * sum(-(-widths.get(name, 12) // 8) for name in "ab")

    def channels(widths: Mapping[str, int]) -> float:
        return float(sum(widths.get(name, 12) for name in "ab"))

    cuts = [Cut("a", 9, 0.1), Cut("b", 8, 0.2)]
    assert cheapest_widths(cuts, channels, channels, 22) == {"a": 9}
    assert cheapest_widths(cuts, channels, vectors, 22) == {"b": 8}


@given(st.integers(64, 700))
def test_budgets_are_met(target: int) -> None:
    assert work(cheapest_widths(CUTS, work, work, target)) <= target


def test_the_smallest_that_is_good_enough() -> None:
    model = LPRNet()
    points = [Point({}, 30, 0.90, model), Point({}, 20, 0.89, model), Point({}, 10, 0.7, model)]
    assert smallest_within(points, 0.89).macs == 20
    with pytest.raises(UserError, match="no pruned network"):
        smallest_within(points, 0.95)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 3, 24, 94, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture(scope="module")
def model() -> LPRNet:
    """Four channels a layer, so that one cut of each is to be priced."""
    torch.manual_seed(0)
    model = LPRNet(context_means=(1.0,) * 4).eval()
    with torch.no_grad():
        for layer in LAYERS:
            weight, bias = weight_and_bias(model, layer.name)
            torch.nn.init.kaiming_normal_(weight)
            bias.zero_()
            weight[torch.arange(len(weight)) % 4 != 0] = 0.0
            weight[16:] = 0.0
    return model


@pytest.fixture(scope="module")
def cuts(model: LPRNet, images: torch.Tensor) -> list[Cut]:
    return price_cuts(model, images, step=2)


def test_a_sweep_meets_its_targets(model: LPRNet, images: torch.Tensor, cuts: list[Cut]) -> None:
    whole = macs(fold(model))
    assert {cut.name for cut in cuts} == {layer.name for layer in LAYERS}
    assert planned_macs(fold(model), {}) == whole
    assert planned_macs(fold(model), {}, lanes=16) > 3 * whole
    (point,) = sweep(model, images, cuts, [whole * 4 // 5], lambda pruned: 1.0)
    assert point.macs <= whole * 4 // 5
    assert all(
        len(living_channels(point.model)[name]) <= width for name, width in point.widths.items()
    )


def test_budgets_hold_where_plans_do_not(
    model: LPRNet, images: torch.Tensor, cuts: list[Cut], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What readers of every second channel lose is only known after pruning."""

    def hopeful(folded: LPRNet, widths: Mapping[str, int], lanes: int = 1) -> float:
        return planned_macs(folded, widths, lanes) * 0.9

    monkeypatch.setattr("lprnet.compression.prune.width_search.planned_macs", hopeful)
    target = macs(fold(model)) * 4 // 5
    (point,) = sweep(model, images, cuts, [target], lambda pruned: 1.0)
    assert point.macs <= target
