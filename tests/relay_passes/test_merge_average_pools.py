import pytest
import torch
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from tvm import relax
from tvm.relax.op import add, nn

from relay_passes.merge_average_pools import MergeAveragePools
from tests.relax_networks import Emit, apply, module, shared_module
from tests.relax_reference import evaluate

Pool = tuple[tuple[int, int], tuple[int, int]]


def pool(x: relax.Expr, window: tuple[int, int], stride: tuple[int, int]) -> relax.Expr:
    return nn.avg_pool2d(x, window, stride, count_include_pad=True)


@pytest.mark.parametrize(
    ("inner", "size", "merged"),
    [
        (((5, 5), (5, 5)), (22, 92), ((20, 5), (20, 5))),
        (((5, 5), (5, 5)), (20, 90), ((20, 5), (20, 5))),
        (((4, 10), (4, 2)), (18, 44), ((16, 10), (16, 2))),
    ],
)
def test_lprnets_context_pools_take_the_height_mean_in(
    inner: Pool, size: tuple[int, int], merged: Pool
) -> None:
    before = module(lambda x: pool(pool(x, *inner), (4, 1), (4, 1)), (1, 2, *size))
    expected = module(lambda x: pool(x, *merged), (1, 2, *size))
    tvm.ir.assert_structural_equal(apply(MergeAveragePools(), before), expected)


def test_a_pool_that_others_read_is_left_alone() -> None:
    def network(x: relax.Var, emit: Emit) -> relax.Expr:
        inner = emit(pool(x, (2, 2), (2, 2)))
        return add(pool(inner, (2, 1), (2, 1)), pool(inner, (2, 1), (2, 1)))

    before = shared_module(network, (1, 1, 4, 4))
    tvm.ir.assert_structural_equal(apply(MergeAveragePools(), before), before)


def test_overlapping_windows_and_padding_are_left_alone() -> None:
    overlapping = module(lambda x: pool(pool(x, (3, 3), (2, 2)), (2, 1), (2, 1)), (1, 1, 9, 9))
    tvm.ir.assert_structural_equal(apply(MergeAveragePools(), overlapping), overlapping)
    padded = module(
        lambda x: pool(
            nn.avg_pool2d(x, (2, 2), (2, 2), padding=1, count_include_pad=True), (2, 1), (2, 1)
        ),
        (1, 1, 8, 8),
    )
    tvm.ir.assert_structural_equal(apply(MergeAveragePools(), padded), padded)


axis = st.tuples(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 4)
)


@settings(max_examples=40)
@given(vertical=axis, horizontal=axis)
def test_any_two_pools_average_the_same(
    vertical: tuple[int, ...], horizontal: tuple[int, ...]
) -> None:
    k1, s1, k2, s2, rest = zip(vertical, horizontal, strict=True)
    height, width = (
        (outer - 1) * step + window + extra
        for outer, step, window, extra in zip(k2, s1, k1, rest, strict=True)
    )
    before = module(lambda x: pool(pool(x, k1, s1), k2, s2), (1, 2, height, width))
    x = torch.rand(2, 2, height, width, dtype=torch.float64)
    expected = F.avg_pool2d(F.avg_pool2d(x, k1, s1), k2, s2)
    torch.testing.assert_close(evaluate(apply(MergeAveragePools(), before), x), expected)
