"""Budgets: prices add up, the cheapest cuts win, and impossible budgets are refused."""

from collections.abc import Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lprnet.errors import UserError
from lprnet.fold import fold, living_channels, macs
from lprnet.model import LPRNet
from lprnet.sweep import (
    Cut,
    Point,
    cheapest_widths,
    planned_macs,
    price_cuts,
    smallest_within,
    sweep,
)
from lprnet.topology import LAYERS, weight_and_bias

CUTS = [Cut("a", 16, 0.1), Cut("a", 8, 5.0), Cut("b", 16, 1.0), Cut("b", 8, 1.2)]


def work(widths: Mapping[str, int]) -> float:
    """Two layers in a row, of 24 channels each: their product, as of a convolution."""
    return widths.get("a", 24) * widths.get("b", 24)


def test_the_cheapest_cuts_win() -> None:
    assert cheapest_widths(CUTS, work, 600) == {}
    assert cheapest_widths(CUTS, work, 400) == {"a": 16}
    assert cheapest_widths(CUTS, work, 300) == {"a": 16, "b": 8}  # past b's dearer half-way stop
    assert cheapest_widths(CUTS, work, 64) == {"a": 8, "b": 8}
    with pytest.raises(UserError, match="no cuts lead to"):
        cheapest_widths(CUTS, work, 63)


@given(st.integers(64, 700))
def test_budgets_are_met(target: int) -> None:
    assert work(cheapest_widths(CUTS, work, target)) <= target


def test_the_smallest_that_is_good_enough() -> None:
    model = LPRNet()
    points = [Point({}, 30, 0.90, model), Point({}, 20, 0.89, model), Point({}, 10, 0.7, model)]
    assert smallest_within(points, 0.89).macs == 20
    with pytest.raises(UserError, match="no pruned network"):
        smallest_within(points, 0.95)


def test_a_sweep_meets_its_targets() -> None:
    torch.manual_seed(0)
    model = LPRNet(context_means=(1.0,) * 4).eval()
    with torch.no_grad():
        for layer in LAYERS:  # four channels a layer, so that one cut of each is to be priced
            weight, bias = weight_and_bias(model, layer.name)
            torch.nn.init.kaiming_normal_(weight)
            bias.zero_()
            weight[torch.arange(len(weight)) % 4 != 0] = 0.0
            weight[16:] = 0.0
    images = torch.rand(2, 3, 24, 94, generator=torch.Generator().manual_seed(1)) * 2 - 1
    whole = macs(fold(model))
    cuts = price_cuts(model, images, step=2)
    assert {cut.name for cut in cuts} == {layer.name for layer in LAYERS}
    assert planned_macs(fold(model), {}) == whole
    (point,) = sweep(model, images, cuts, [whole * 4 // 5], lambda pruned: 1.0)
    assert point.macs <= whole * 4 // 5
    assert all(
        len(living_channels(point.model)[name]) <= width for name, width in point.widths.items()
    )
