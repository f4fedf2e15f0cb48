"""Weights of 8 bits in pairs: no sum saturates, hardly coarser than 8 bits, no channel lost."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lprnet.compression.least_squares import normal_equations
from lprnet.compression.quantize.gptq import gptq_quantize
from lprnet.compression.quantize.int16_pairs import PAIR_LIMIT, QMAX, PairRounding, pair_scales
from lprnet.compression.quantize.scale_search import weight_scales
from relay_passes.lowering.check_pair_sums import check_pair_sums


def rounded(weight: Tensor, scales: Tensor, rounding: PairRounding) -> Tensor:
    """OIHW integers, rows in the order of a `(C * KH * KW, O)` matrix."""
    rows = weight.flatten(1).T / scales
    return torch.stack([rounding(i, row) for i, row in enumerate(rows)]).T.reshape(weight.shape)


def packed(integers: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
    """Channels innermost and filled up to whole groups, as kernels read them."""
    filled = torch.nn.functional.pad(integers, (0, 0, 0, 0, 0, -integers.shape[1] % 4))
    return filled.permute(0, 2, 3, 1).numpy().astype("int8")


def test_the_limit_is_that_of_16_bits() -> None:
    assert 255 * PAIR_LIMIT <= 2**15 - 1 < 255 * (PAIR_LIMIT + 1)


@settings(max_examples=50)
@given(
    shape=st.tuples(*(st.integers(1, most) for most in (4, 7, 3, 3))),
    seed=st.integers(0, 2**16),
    factor=st.sampled_from([1e-3, 0.3, 1.0, 30.0]),
)
def test_no_pair_saturates_however_coarse_the_scale(
    shape: tuple[int, int, int, int], seed: int, factor: float
) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()
    scales = pair_scales(weight)
    assert (scales > 0).all()
    integers = rounded(weight * factor, scales, PairRounding(weight.shape))
    assert integers.abs().max() <= QMAX
    check_pair_sums(packed(integers), 255)
    assert integers.flatten(2).any(dim=2).any(dim=0).all()


def test_most_of_the_eighth_bit_is_won() -> None:
    """Large neighbours of one sign take 7 bits; others have 8."""
    torch.manual_seed(0)
    weight = torch.randn(32, 64, 1, 1, dtype=torch.float64)
    weight[0, :2] = 4.0
    noise = {}
    for name, scales in (("pairs", pair_scales(weight)), ("7", weight_scales(weight, 63))):
        qmax = QMAX if name == "pairs" else 63
        if name == "pairs":
            integers = rounded(weight, scales, PairRounding(weight.shape))
        else:
            integers = (weight / scales[:, None, None, None]).round().clamp(-qmax, qmax)
        error = integers * scales[:, None, None, None] - weight
        noise[name] = error.square().mean(dim=(1, 2, 3))
    assert noise["pairs"].mean() < 0.6 * noise["7"].mean()


def test_scales_of_opposite_signs_and_of_single_channels_are_those_of_8_bits() -> None:
    weight = torch.tensor([1.0, -1.0, 0.4], dtype=torch.float64).reshape(1, 3, 1, 1)
    assert pair_scales(weight).item() == pytest.approx(1 / QMAX, rel=0.05)
    both = torch.ones(1, 2, 1, 1, dtype=torch.float64)
    assert pair_scales(both).item() == pytest.approx(2 / PAIR_LIMIT, rel=0.05)
    assert (pair_scales(torch.zeros(2, 3, 1, 1)) > 0).all()


def test_a_channel_that_rounds_to_nothing_keeps_one_weight() -> None:
    weight = torch.tensor([[127.0, 0.2], [127.0, -0.4]], dtype=torch.float64).reshape(2, 2, 1, 1)
    integers = rounded(weight, torch.ones(2, dtype=torch.float64), PairRounding(weight.shape))
    assert integers.flatten().tolist() == [127, 0, 127, -1]
    zeros = PairRounding(torch.Size([2, 1, 1, 1]))(0, torch.zeros(2, dtype=torch.float64))
    assert not zeros.any()


def test_what_one_of_a_pair_loses_others_make_up_for() -> None:
    """Two equal channels beside a third that says the same: clipped by 60, the sum hardly moves."""
    torch.manual_seed(0)
    signal = torch.rand(10, 1, 6, 6)
    x = signal.expand(10, 3, 6, 6) + 0.01 * torch.rand(10, 3, 6, 6)
    weight = torch.tensor([100.0, 88.0, 0.0]).reshape(1, 3, 1, 1)
    y = torch.nn.functional.conv2d(x, weight)
    equations = normal_equations(x, y)
    solution = torch.tensor([[100.0], [88.0], [0.0], [0.0]], dtype=torch.float64)
    one = torch.ones(1, dtype=torch.float64)
    found = gptq_quantize(equations, solution, one, PairRounding(weight.shape))
    assert float(found[:2].clamp(min=0).sum()) <= PAIR_LIMIT
    assert float(found[:3].sum()) == pytest.approx(188, abs=3)
    assert float(equations.error(found)) < 1e-3 * float(equations.yty)
