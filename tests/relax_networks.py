"""Small Relax graphs for the tests of passes: functions of one input, an LPRNet in miniature."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import relax
from tvm.relax.op import add, concat, divide, mean, nn, reshape, square, strided_slice

NORMALISATION = (127.5, 1 / 128)
"""Offset and scale: LPRNet's input is `(pixels - offset) * scale`."""

Network = Callable[[relax.Var], relax.Expr]
Emit = Callable[[relax.Expr], relax.Var]


def module(network: Network, shape: Sequence[int]) -> tvm.IRModule:
    """`main(x: shape float32)` in one dataflow block; nested calls become bindings."""
    return shared_module(lambda x, _emit: network(x), shape)


def shared_module(
    network: Callable[[relax.Var, Emit], relax.Expr], shape: Sequence[int]
) -> tvm.IRModule:
    """The same for a network that binds with `emit` what it reads more than once."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(tuple(shape), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(builder.emit(network(x, builder.emit)))
        builder.emit_func_output(result)
    return builder.get()


def apply(step: tvm.transform.Pass, module: tvm.IRModule) -> tvm.IRModule:
    """The module after one pass."""
    return step(module)


def const(values: object) -> relax.Expr:
    """A float32 constant."""
    return relax.const(np.asarray(values, dtype="float32"))


def per_channel(*values: float) -> relax.Expr:
    """A `(1, C, 1, 1)` float32 constant."""
    return const(np.reshape(values, (1, -1, 1, 1)))


def random_weight(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Float32 weights scaled so that activations keep their size."""
    fan_in = int(np.prod(shape[1:]))
    return rng.normal(0, fan_in**-0.5, shape).astype("float32")


@dataclass(frozen=True)
class Damage:
    """What is dead in a miniature.

    `norm` is the share of channels whose batch-norm gamma is `gamma`; `inner` the share of inner
    channels of the small basic blocks with zero weights, whose bias is then `inner_bias`; `unread`
    the share of a convolution's input channels with zero weights.
    """

    norm: float = 0.0
    gamma: float = 0.0
    inner: float = 0.0
    inner_bias: float = 0.0
    unread: float = 0.0


def miniature(
    rng: np.random.Generator, damage: Damage, means: Sequence[float] | None
) -> tvm.IRModule:
    """LPRNet's graph as `to_relax` leaves it, on `(1, 3, 24, 94)`, an eighth as wide.

    Its biases are reshaped, as TVM does it; `means=None` keeps the per-image context norm.
    """

    def weights(out: int, into: int, kernel: tuple[int, int], dead: float) -> relax.Expr:
        weight = random_weight(rng, out, into, *kernel)
        weight[rng.random(out) < dead] = 0
        weight[:, rng.random(into) < damage.unread] = 0
        return const(weight)

    def conv(
        x: relax.Expr, w: relax.Expr, b: np.ndarray, padding: tuple[int, int] = (0, 0)
    ) -> relax.Expr:
        bias = reshape(const(b), (1, len(b), 1, 1))
        return add(nn.conv2d(x, w, padding=padding), bias)

    def inner(x: relax.Expr, out: int, into: int, kernel: tuple[int, int] = (1, 1)) -> relax.Expr:
        w = weights(out, into, kernel, damage.inner)
        dead = ~w.value.numpy().any(axis=(1, 2, 3))
        b = np.where(dead, damage.inner_bias, rng.normal(0, 0.1, out))
        return nn.relu(conv(x, w, b, (kernel[0] // 2, kernel[1] // 2)))

    def norm(x: relax.Expr, out: int) -> relax.Expr:
        gamma = np.where(rng.random(out) < damage.norm, damage.gamma, rng.uniform(0.5, 1.5, out))
        statistics = [gamma, rng.normal(0, 0.3, out), rng.normal(0, 0.1, out)]
        variance = rng.uniform(0.1, 1, out)
        normalised = nn.batch_norm(
            x, *map(const, statistics), const(variance), axis=1, epsilon=1e-5, training=False
        )
        return nn.relu(relax.TupleGetItem(normalised, 0))

    def outer(x: relax.Expr, out: int, into: int, kernel: tuple[int, int]) -> relax.Expr:
        return norm(conv(x, weights(out, into, kernel, 0), rng.normal(0, 0.1, out)), out)

    def block(x: relax.Expr, out: int, into: int) -> relax.Expr:
        width = out // 4
        x = inner(inner(inner(x, width, into), width, width, (3, 1)), width, width, (1, 3))
        return outer(x, out, width, (1, 1))

    def max_pool(x: relax.Expr, stride: int) -> relax.Expr:
        return nn.max_pool2d(x, (3, 3), (1, stride))

    def every(x: relax.Expr, step: int) -> relax.Expr:
        return strided_slice(x, [1], [0], [2**63 - 1], [step])

    def context(x: relax.Expr, index: int) -> relax.Expr:
        if means is not None:
            return divide(x, const(means[index]))
        return divide(x, mean(square(x), [1, 2, 3], keepdims=True))

    def network(x: relax.Var, emit: Emit) -> relax.Expr:
        first = emit(outer(x, 8, 3, (3, 3)))
        second = emit(block(max_pool(first, 1), 16, 8))
        third = emit(block(block(max_pool(every(second, 2), 2), 32, 8), 32, 32))
        fourth = emit(outer(outer(max_pool(every(third, 4), 2), 32, 8, (1, 4)), 10, 32, (13, 1)))
        contexts = [
            nn.avg_pool2d(first, (5, 5), (5, 5), count_include_pad=True),
            nn.avg_pool2d(second, (5, 5), (5, 5), count_include_pad=True),
            nn.avg_pool2d(third, (4, 10), (4, 2), count_include_pad=True),
            fourth,
        ]
        joined = concat([context(emit(x), index) for index, x in enumerate(contexts)], 1)
        container = weights(10, 8 + 16 + 32 + 10, (1, 1), 0)
        return mean(conv(joined, container, rng.normal(0, 0.1, 10)), [2], keepdims=False)

    return shared_module(network, (1, 3, 24, 94))
