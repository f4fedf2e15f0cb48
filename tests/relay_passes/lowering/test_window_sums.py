"""Contexts of integers as window sums, and the image with stacked rows: what they compute, and
where they are not possible.
"""

from collections.abc import Callable

import numpy as np
import pytest
import tvm
from numpy.typing import NDArray
from tvm import relax, tirx
from tvm.relax.op import add, concat, nn, squeeze

from relay_passes.insert_quantize import LayerScales
from relay_passes.pipeline import lower_graph, quantize_graph
from schedules.isa import AMX_INT8, AVX2, AVX512_VNNI, Isa
from schedules.workloads.match import match
from tests import quantized_reference
from tests.relax_networks import NORMALISATION, const, module
from tests.relay_passes.test_lower_to_kernels import (
    ISAS,
    RNG,
    no_bias,
    run,
    some_pixels,
    whole_multiples,
)

WIDE = (1, 3, 8, 40)
FIRST = whole_multiples(6, 3, 3, 3)
STEP = 1.5 / 255
Contexts = Callable[[relax.Expr], list[relax.Expr]]


def two_contexts(y: relax.Expr) -> list[relax.Expr]:
    """Windows without and with columns in common."""
    return [nn.avg_pool2d(y, (6, 2), (6, 2)), nn.avg_pool2d(y, (6, 20), (6, 1))]


def two_rows(y: relax.Expr) -> list[relax.Expr]:
    return [nn.avg_pool2d(y, (3, 2), (3, 2)), nn.avg_pool2d(y, (3, 20), (3, 1))]


def quantized(
    contexts: Contexts, channels: int = 6, relu: bool = False, row_stride: int = 1
) -> tvm.IRModule:
    """A convolution, `contexts` of it at 19 positions, and their convolution, in integers."""
    first = FIRST if channels == 6 else whole_multiples(channels, 3, 3, 3)
    last = whole_multiples(10, 2 * channels, 1, 1)

    def network(x: relax.Var) -> relax.Expr:
        bias = const(RNG.normal(0, 0.5, (1, channels, 1, 1)))
        y = nn.relu(add(nn.conv2d(x, first[0]), bias))
        sums = nn.conv2d(concat(contexts(y), 1), last[0], strides=(row_stride, 1))
        logits = add(sums, no_bias(10))
        return squeeze(nn.relu(logits) if relu else logits, [2])

    scales = [LayerScales(first[1] / 128, STEP, 255), LayerScales(last[1], None)]
    return quantize_graph(module(network, WIDE), scales, *NORMALISATION)


def names(lowered: tvm.IRModule) -> str:
    return " ".join(variable.name_hint for variable in lowered.get_global_vars())


def one_row_of_any_stride(y: relax.Expr) -> list[relax.Expr]:
    """The shapes of a kernel with one row of output do not tell how far apart its rows are."""
    return [nn.avg_pool2d(y, (6, 2), (1, 2)), nn.avg_pool2d(y, (6, 20), (4, 1))]


@ISAS
def test_contexts_of_integers_are_summed_exactly(isa: Isa) -> None:
    graph = quantized(two_contexts)
    pixels = some_pixels(*WIDE[2:])
    image = pixels.transpose(2, 0, 1)[None].astype("float64")
    expected = quantized_reference.evaluate(graph, image)[0]
    lowered = lower_graph(graph, isa, *NORMALISATION)
    found: NDArray[np.float32] = run(lowered, pixels)[0, :, :10].T
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * abs(expected).max())
    assert "sumpool" in names(lowered)
    assert "sumconv1x1" in names(lowered)
    assert "avgpool" not in names(lowered)
    stacked = "tconv1x3" in names(lowered)
    assert stacked == ("stack_6x40x3_r3" in names(lowered)) == isa.tiles
    other = lower_graph(graph, AVX2, *NORMALISATION)
    np.testing.assert_array_equal(found, run(other, pixels)[0, :, :10].T)


def test_sums_of_one_row_are_known_whatever_their_stride() -> None:
    """As the kernels of other average pools."""
    lowered = lower_graph(quantized(one_row_of_any_stride), AVX2, *NORMALISATION)
    kernels = {
        variable.name_hint: function
        for variable, function in lowered.functions.items()
        if isinstance(function, tirx.PrimFunc)
    }
    assert sum(name.startswith("sumpool") for name in kernels) == 2
    assert all(match(kernel) is not None for kernel in kernels.values())
    pixels = some_pixels(*WIDE[2:])
    usual = lower_graph(quantized(two_contexts), AVX2, *NORMALISATION)
    assert run(lowered, pixels).shape == run(usual, pixels).shape


def test_a_convolution_that_skips_rows_reads_real_numbers() -> None:
    graph = quantized(two_rows, row_stride=2)
    pixels = some_pixels(*WIDE[2:])
    image = pixels.transpose(2, 0, 1)[None].astype("float64")
    expected = quantized_reference.evaluate(graph, image)[0]
    lowered = lower_graph(graph, AVX2, *NORMALISATION)
    found = run(lowered, pixels)[0, :, :10].T
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * abs(expected).max())
    assert "sumconv" not in names(lowered)


def one_pool_twice(y: relax.Expr) -> list[relax.Expr]:
    pool = nn.avg_pool2d(y, (6, 2), (6, 2))
    return [pool, pool]


@pytest.mark.parametrize(
    ("contexts", "channels", "relu"),
    [(two_contexts, 6, True), (two_contexts, 2500, False), (one_pool_twice, 6, False)],
    ids=["a ReLU follows", "a sum of products fits no 32 bits", "two users of a pool"],
)
def test_where_real_numbers_are_read(contexts: Contexts, channels: int, relu: bool) -> None:
    lowered = lower_graph(quantized(contexts, channels, relu), AVX512_VNNI, *NORMALISATION)
    assert "sumpool" not in names(lowered)
    assert "sumconv" not in names(lowered)


def test_a_narrow_image_is_not_stacked() -> None:
    def network(x: relax.Var) -> relax.Expr:
        return nn.avg_pool2d(nn.relu(add(nn.conv2d(x, FIRST[0]), no_bias(6))), (6, 1))

    scales = [LayerScales(FIRST[1] / 128, STEP, 255)]
    for width, kernel in ((21, "group_8x21x3"), (22, "stack_6x22x3_r3")):
        graph = quantize_graph(module(network, (1, 3, 8, width)), scales, *NORMALISATION)
        assert kernel in names(lower_graph(graph, AMX_INT8, *NORMALISATION))


def test_stacked_rows_are_read_without_tiles_too() -> None:
    """Where results fit no int16, so that the convolution is one on vectors."""

    def network(x: relax.Var) -> relax.Expr:
        return nn.avg_pool2d(nn.relu(add(nn.conv2d(x, FIRST[0]), no_bias(6))), (6, 1))

    graph = quantize_graph(
        module(network, WIDE), [LayerScales(FIRST[1] / 128, 1e-5, 255)], *NORMALISATION
    )
    lowered, other = (lower_graph(graph, isa, *NORMALISATION) for isa in (AMX_INT8, AVX2))
    assert "qconv1x3_6x38_12to6" in names(lowered)
    pixels = some_pixels(*WIDE[2:])
    found, expected = (run(one, pixels)[..., :6] for one in (lowered, other))
    np.testing.assert_array_equal(found, expected)
