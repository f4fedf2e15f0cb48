import numpy as np
import tvm
from tvm import relax
from tvm.relax.op import add, dequantize, nn, quantize, repeat, strided_slice

from relay_passes.sink_dequantize import SinkDequantize
from tests.quantized_reference import evaluate
from tests.relax_networks import Emit, apply, const, shared_module

SHAPE = (1, 4, 7, 9)
SCALE = relax.const(np.float32(0.3))
ZERO_POINT = relax.const(np.uint8(7))


def integers(x: relax.Expr) -> relax.Expr:
    return quantize(x, SCALE, ZERO_POINT, 1, "uint8")


def real(q: relax.Expr) -> relax.Expr:
    return dequantize(q, SCALE, ZERO_POINT, 1)


def first_two(x: relax.Expr) -> relax.Expr:
    return strided_slice(x, [1], [0], [2])


def pool(x: relax.Expr, padding: int = 0) -> relax.Expr:
    return nn.max_pool2d(x, (3, 3), (1, 2), padding)


def test_pools_slices_and_repeats_choose_among_integers() -> None:
    def before(x: relax.Var, emit: Emit) -> relax.Expr:
        return nn.relu(pool(repeat(first_two(real(integers(x))), 2, 2)))

    def after(x: relax.Var, emit: Emit) -> relax.Expr:
        return nn.relu(real(pool(repeat(first_two(integers(x)), 2, 2))))

    got = apply(SinkDequantize(), shared_module(before, SHAPE))
    tvm.ir.assert_structural_equal(got, shared_module(after, SHAPE))


def test_what_else_reads_real_values_keeps_them() -> None:
    def before(x: relax.Var, emit: Emit) -> relax.Expr:
        values = emit(real(emit(integers(x))))
        return add(emit(pool(values)), emit(nn.avg_pool2d(values, (3, 3), (1, 2))))

    def after(x: relax.Var, emit: Emit) -> relax.Expr:
        quantized = emit(integers(x))
        values = emit(real(quantized))
        return add(emit(real(pool(quantized))), emit(nn.avg_pool2d(values, (3, 3), (1, 2))))

    module = shared_module(before, SHAPE)
    got = apply(SinkDequantize(), module)
    tvm.ir.assert_structural_equal(got, shared_module(after, SHAPE))
    x = np.random.default_rng(0).normal(0, 30, SHAPE)
    np.testing.assert_array_equal(evaluate(got, x), evaluate(module, x))


def test_a_pool_of_a_pool_sinks_twice() -> None:
    def network(x: relax.Var, emit: Emit) -> relax.Expr:
        return pool(pool(first_two(real(integers(x)))))

    module = shared_module(network, SHAPE)
    got = apply(SinkDequantize(), module)
    *_, last, _ = got["main"].body.blocks[0].bindings
    assert last.value.op.name == "relax.dequantize"
    x = np.random.default_rng(0).normal(0, 30, SHAPE)
    np.testing.assert_array_equal(evaluate(got, x), evaluate(module, x))


def test_a_padded_pool_is_left_alone() -> None:
    module = shared_module(lambda x, _: pool(real(integers(x)), padding=1), SHAPE)
    tvm.ir.assert_structural_equal(apply(SinkDequantize(), module), module)


def test_a_scale_a_channel_is_left_alone() -> None:
    scales, zeros = const([0.1, 0.2, 0.3, 0.4]), relax.const(np.zeros(4, "uint8"))
    module = shared_module(
        lambda x, _: pool(first_two(dequantize(integers(x), scales, zeros, 1))), SHAPE
    )
    tvm.ir.assert_structural_equal(apply(SinkDequantize(), module), module)


def test_a_pool_of_what_was_never_quantized_is_left_alone() -> None:
    module = shared_module(lambda x, _: pool(first_two(nn.relu(x))), SHAPE)
    tvm.ir.assert_structural_equal(apply(SinkDequantize(), module), module)
