"""Filters whose taps make an even sum: always exact for Winograd in bytes, hardly coarser."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lprnet.compression.compact import CompactNetwork
from lprnet.compression.least_squares import NormalEquations, as_solution, normal_equations
from lprnet.compression.quantize.even_filters import even_layers, even_scales, round_to_even
from lprnet.compression.quantize.gptq import gptq_quantize, to_nearest
from lprnet.compression.quantize.scale_search import weight_scales
from lprnet.model.architecture import Architecture, Context, Conv
from lprnet.model.pixel_format import Preprocessing
from lprnet.runtime.alphabet import CHINA
from relay_passes.lowering.check_exact_winograd import winograd_is_exact


def layer(outputs: int, channels: int, seed: int) -> tuple[NormalEquations, Tensor]:
    """The normal equations of a 3x1 layer on maps whose neighbours are alike, and its solution."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand((6, channels, 9, 8), generator=generator)
    x = torch.nn.functional.avg_pool2d(x, 3, 1)
    weight = torch.randn((outputs, channels, 3, 1), generator=generator)
    bias = torch.randn(outputs, generator=generator)
    y = torch.nn.functional.conv2d(x, weight, bias)
    return normal_equations(x, y, (3, 1)), as_solution(weight, bias)


def integers(solution: Tensor, scales: Tensor) -> Tensor:
    """(O, C, 3)."""
    whole = (solution[:-1] / scales).T
    return whole.round().reshape(len(scales), -1, 3)


@settings(max_examples=40, deadline=None)
@given(
    outputs=st.integers(1, 4),
    channels=st.integers(1, 6),
    seed=st.integers(0, 2**16),
    factor=st.sampled_from([1e-3, 0.3, 1.0, 30.0]),
)
def test_any_weights_become_exact_however_coarse_or_fine_the_scale(
    outputs: int, channels: int, seed: int, factor: float
) -> None:
    equations, solution = layer(outputs, channels, seed)
    scales = even_scales(solution[:-1].T.reshape(outputs, channels, 3, 1)) / factor
    assert (scales > 0).all()
    found = integers(round_to_even(equations, solution, scales), scales)
    narrow = found.numpy().astype("int8").reshape(outputs, channels, 3, 1)
    assert (narrow == found.numpy().reshape(narrow.shape)).all()
    assert winograd_is_exact(narrow, np.zeros(outputs, "int32"), 127)


def test_one_channel_gets_the_best_even_integers_there_are() -> None:
    """Against all of them within one and a half of each tap, by the layer's own error."""
    outputs = 20
    equations, solution = layer(outputs, 1, 3)
    solution *= 4.0
    scales = torch.ones(outputs, dtype=torch.float64)
    found = round_to_even(equations, solution, scales)
    lost = _errors(equations, found - solution)
    best = torch.full_like(lost, torch.inf)
    for offsets in itertools.product((-1, 0, 1, 2), repeat=3):
        tried = solution.clone()
        tried[:-1] = solution[:-1].floor() + torch.tensor(offsets, dtype=torch.float64)[:, None]
        difference = tried - solution
        hessian = equations.xtx
        difference[-1] = -(hessian[-1, :-1] @ difference[:-1]) / hessian[-1, -1]
        even = (tried[:-1].sum(dim=0) % 2) == 0
        error = torch.where(even, _errors(equations, difference), torch.inf)
        best = torch.minimum(best, error)
    assert (lost <= best * 1.5 + 1e-9).all()
    assert (lost <= best * 1.01 + 1e-9).float().mean() > 0.6


def _errors(equations: NormalEquations, difference: Tensor) -> Tensor:
    return (difference * (equations.xtx @ difference)).sum(dim=0)


def test_it_loses_little_more_than_plain_rounding() -> None:
    """A bit in three weights is a third of a bit, 2 dB."""
    equations, solution = layer(16, 24, 0)
    weight = solution[:-1].T.reshape(16, 24, 3, 1)
    plain, even = weight_scales(weight, 127), even_scales(weight)
    errors = [
        float(_errors(equations, found - solution).sum())
        for found in (
            gptq_quantize(equations, solution, plain, to_nearest(127)),
            round_to_even(equations, solution, even),
        )
    ]
    assert errors[1] < 2 * errors[0]


def test_filters_of_one_sign_leave_room_for_their_sum() -> None:
    weight = torch.full((1, 1, 3, 1), 3.0, dtype=torch.float64)
    assert even_scales(weight).item() == pytest.approx(9 / 254, rel=0.05)
    assert (even_scales(torch.zeros(2, 3, 1, 3)) > 0).all()


@pytest.mark.parametrize(
    ("kernel", "size", "channels", "row_stride", "expected"),
    [
        ((3, 1), (22, 90), 32, 1, True),
        ((3, 1), (21, 90), 32, 1, False),
        ((1, 3), (21, 92), 32, 1, True),
        ((1, 3), (21, 91), 32, 1, False),
        ((1, 3), (20, 92), 16, 1, False),
        ((3, 3), (22, 92), 32, 1, False),
        ((3, 1), (23, 90), 32, 2, False),
    ],
)
def test_which_layers(
    kernel: tuple[int, int],
    size: tuple[int, int],
    channels: int,
    row_stride: int,
    expected: bool,
) -> None:
    """Not odd axes, few weights, other windows, or rows that are skipped."""
    convs = Conv("a", channels, kernel), Conv("b", channels, kernel, row_stride=row_stride)
    height, width = size[0] + kernel[0] - 1, size[1] + kernel[1] - 1
    architecture = Architecture(CHINA, height, width, 3, Preprocessing(), convs, (Context("b"),))
    weights = {
        "a": torch.zeros(channels, 3, *kernel),
        "b": torch.zeros(channels, channels, *kernel),
    }
    biases = {name: torch.zeros(channels) for name in weights}
    found = even_layers(CompactNetwork(architecture, weights, biases))
    assert found == ({"b"} if expected else set())


def test_what_reads_pixels_is_not_rounded_so() -> None:
    """They have 8 bits, and its products would saturate on AVX2."""
    conv = Conv("a", 256, (3, 1))
    architecture = Architecture(CHINA, 24, 94, 3, Preprocessing(), (conv,), (Context("a"),))
    weights, biases = {"a": torch.zeros(256, 3, 3, 1)}, {"a": torch.zeros(256)}
    assert not even_layers(CompactNetwork(architecture, weights, biases))
