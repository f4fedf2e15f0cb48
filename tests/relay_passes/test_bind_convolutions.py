import numpy as np
import pytest
import torch
import tvm
from tvm import relax
from tvm.relax.op import add, concat, divide, mean, nn, repeat, square, strided_slice, take

from relay_passes.bind_convolutions import BindConvolutions, Convolution, read_convolutions
from relay_passes.channels.numbers import channel_numbers
from relay_passes.pipeline import bind_graph, reduce_graph
from tests.relax_networks import (
    Damage,
    Emit,
    apply,
    const,
    miniature,
    module,
    per_channel,
    random_weight,
    shared_module,
)
from tests.relax_reference import evaluate

SHAPE = (1, 3, 9, 12)
RNG = np.random.default_rng(0)


def some(out: int, into: int, *kernel: int) -> Convolution:
    return Convolution(random_weight(RNG, out, into, *kernel), RNG.normal(size=out).astype("f4"))


def network(
    first: Convolution, second: Convolution, last: Convolution, repeats: int = 1
) -> tvm.IRModule:
    """The second convolution reads some channels of the first through a max pool, each row
    `repeats` times; the last reads both.
    """

    def pool(x: relax.Expr) -> relax.Expr:
        return nn.max_pool2d(x if repeats == 1 else repeat(x, repeats, 2), (3, 3))

    def biased(x: relax.Expr, one: Convolution) -> relax.Expr:
        return add(nn.conv2d(x, const(one.weight)), per_channel(*one.bias))

    def body(x: relax.Var, emit: Emit) -> relax.Expr:
        y = emit(nn.relu(biased(x, first)))
        count = len(second.weight[0])
        read = y if count == len(first.bias) else strided_slice(y, [1], [0], [count], [1])
        z = nn.relu(biased(pool(read), second))
        pooled = pool(y)
        return biased(concat([pooled, z], 1), last)

    return shared_module(body, SHAPE)


FIRST, SECOND, LAST = some(6, 3, 1, 1), some(5, 4, 1, 1), some(2, 11, 1, 1)


@pytest.mark.parametrize(("channels", "read"), [(6, 4), (4, 2), (3, 3)])
@pytest.mark.parametrize("repeats", [1, 2])
def test_weights_biases_and_slices_follow(channels: int, read: int, repeats: int) -> None:
    new = (some(channels, 3, 1, 1), some(5, read, 1, 1), some(2, channels + 5, 1, 1))
    after = apply(BindConvolutions(new), network(FIRST, SECOND, LAST, repeats))
    main = network(*new, repeats)["main"].with_attr(
        "channels", [list(range(count)) for count in (channels, 5, 2)]
    )
    expected = tvm.IRModule({"main": main})
    tvm.ir.assert_structural_equal(after, expected)


def test_what_is_read_is_what_was_bound() -> None:
    found = read_convolutions(network(FIRST, SECOND, LAST)["main"])
    for one, expected in zip(found, (FIRST, SECOND, LAST), strict=True):
        np.testing.assert_array_equal(one.weight, expected.weight)
        np.testing.assert_array_equal(one.bias, expected.bias)


def test_a_reduced_lprnet_computes_what_is_bound_into_it() -> None:
    """With the last convolution's sign turned, and the channels numbered anew."""
    damage = Damage(norm=0.5, inner=0.3, unread=0.2)
    before = reduce_graph(miniature(np.random.default_rng(0), damage, (1.0, 0.5, 2.0, 0.3)))
    *backbone, last = read_convolutions(before["main"])
    after = bind_graph(before, [*backbone, Convolution(-last.weight, -last.bias)])
    x = torch.rand(2, 3, 24, 94, dtype=torch.float64) * 2 - 1
    torch.testing.assert_close(evaluate(after, x), -evaluate(before, x))
    counts = [len(one.bias) for one in (*backbone, last)]
    numbers = [one.tolist() for one in channel_numbers(after["main"])]
    assert numbers == [list(range(count)) for count in counts]


def test_other_shapes_under_a_mean_over_channels_are_refused() -> None:
    def body(x: relax.Var, emit: Emit) -> relax.Expr:
        y = emit(nn.relu(add(nn.conv2d(x, const(FIRST.weight)), per_channel(*FIRST.bias))))
        return divide(y, mean(square(y), [1, 2, 3], keepdims=True))

    before = shared_module(body, SHAPE)
    with pytest.raises(ValueError, match="mean over channels"):
        apply(BindConvolutions([some(5, 3, 1, 1)]), before)
    assert apply(BindConvolutions([some(6, 3, 1, 1)]), before)


def test_another_number_of_convolutions_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        apply(BindConvolutions([FIRST]), network(FIRST, SECOND, LAST))


def test_what_a_reduced_graph_does_not_hold_is_refused() -> None:
    weight, bias = const(FIRST.weight), per_channel(*FIRST.bias)
    no_bias = module(lambda x: nn.relu(nn.conv2d(x, weight)), SHAPE)
    with pytest.raises(ValueError, match="bias"):
        read_convolutions(no_bias["main"])
    indices = relax.const(np.array([0, 2, 1]), "int64")
    scattered = module(lambda x: add(nn.conv2d(take(x, indices, axis=1), weight), bias), SHAPE)
    with pytest.raises(ValueError, match="first channels"):
        read_convolutions(scattered["main"])
