"""Filters whose taps make an even sum: always exact for Winograd in bytes, hardly coarser."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lprnet.compression.quantize.even_filters import EvenRounding, has_even_filters
from lprnet.compression.quantize.int16_pairs import PairRounding, pair_scales
from lprnet.model.architecture import Architecture, Context, Conv
from lprnet.model.pixel_format import Preprocessing
from lprnet.runtime.alphabet import CHINA
from relay_passes.lowering.check_exact_winograd import winograd_is_exact
from relay_passes.lowering.check_pair_sums import check_pair_sums
from tests.compression.quantize.test_int16_pairs import packed, rounded


@settings(max_examples=60)
@given(
    outputs=st.integers(1, 4),
    channels=st.integers(1, 7),
    seed=st.integers(0, 2**16),
    factor=st.sampled_from([1e-3, 0.3, 1.0, 30.0]),
    order=st.permutations([0, 1, 2]),
)
def test_any_weights_become_exact_and_no_channel_is_lost(
    outputs: int, channels: int, seed: int, factor: float, order: list[int]
) -> None:
    """Whatever tap is rounded last, and where limits clip."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn((outputs, channels, 3, 1), generator=generator).double()
    scales = pair_scales(weight)
    rounding = EvenRounding(weight.shape)
    integers = torch.zeros_like(weight)
    for tap in order:
        for channel in range(channels):
            real = weight[:, channel, tap, 0] * factor / scales
            integers[:, channel, tap, 0] = rounding(3 * channel + tap, real)
    narrow = integers.numpy().astype("int8")
    assert (narrow == integers.numpy()).all()
    assert winograd_is_exact(narrow, np.zeros(outputs, "int32"), 127)
    check_pair_sums(packed(integers), 255)
    assert integers.flatten(2).any(dim=2).any(dim=0).all()


def test_it_goes_to_the_nearest_even_sum() -> None:
    weight = torch.tensor([[10.0, 20.0, 3.4], [10.0, 20.0, 2.6], [10.0, 20.0, 4.4]])
    weight = weight.double().reshape(3, 1, 3, 1)
    integers = rounded(weight, torch.ones(3, dtype=torch.float64), EvenRounding(weight.shape))
    assert integers[:, 0, 2, 0].tolist() == [4, 2, 4]


def test_it_costs_half_a_bit() -> None:
    weight = torch.randn(32, 32, 3, 1, generator=torch.Generator().manual_seed(0)).double()
    scales = pair_scales(weight)
    noise = []
    for rounding in (PairRounding(weight.shape), EvenRounding(weight.shape)):
        integers = rounded(weight, scales, rounding)
        noise.append(float((integers * scales[:, None, None, None] - weight).square().mean()))
    assert 1.5 < noise[1] / noise[0] < 2.3


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
    conv = Conv("a", channels, kernel, row_stride=row_stride)
    architecture = Architecture(CHINA, *size, 3, Preprocessing(), (conv,), (Context("a"),))
    weight = torch.zeros(channels, channels, *kernel)
    assert has_even_filters(architecture, conv, weight) == expected
