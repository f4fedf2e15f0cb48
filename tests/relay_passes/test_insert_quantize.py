from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import tvm
from numpy.typing import NDArray
from tvm import relax
from tvm.relax.op import add, dequantize, nn, quantize

from relay_passes.insert_quantize import InsertQuantize, LayerScales, QParams
from tests.quantized_reference import evaluate
from tests.relax_networks import apply, const, module

SHAPE = (1, 3, 6, 7)
RNG = np.random.default_rng(0)


def some_weights(out: int, into: int, kernel: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Integers that use each row's whole range, and one scale a row."""
    integers = RNG.integers(-126, 127, (out, into, kernel, kernel)).astype("int8")
    integers[:, 0, 0, 0] = 127
    return integers, RNG.uniform(0.001, 0.01, out).astype("float32")


FIRST, FIRST_SCALES = some_weights(4, 3, 3)
SECOND, SECOND_SCALES = some_weights(5, 4, 1)
BIASES = [const(RNG.normal(size=(1, channels, 1, 1))) for channels in (4, 5)]


def weight(integers: NDArray[np.int8], scales: NDArray[np.float32]) -> relax.Expr:
    return const(integers.astype("float32") * scales[:, None, None, None])


def two_layers(x: relax.Var) -> relax.Expr:
    y = nn.relu(add(nn.conv2d(x, weight(FIRST, FIRST_SCALES)), BIASES[0]))
    return nn.relu(add(nn.conv2d(y, weight(SECOND, SECOND_SCALES)), BIASES[1]))


def scales_of(values: NDArray[np.float32], step: float | None, qmax: int = 255) -> LayerScales:
    return LayerScales(values.astype("float64"), step, qmax)


def insert(layers: Sequence[LayerScales | None]) -> tvm.IRModule:
    return apply(InsertQuantize(layers), module(two_layers, SHAPE))


def round_trip(x: relax.Expr, scale: float, dtype: str, zero_point: int = 0) -> relax.Expr:
    arguments = relax.const(np.float32(scale)), relax.const(np.array(zero_point, dtype)), 1
    return dequantize(quantize(x, *arguments, dtype), *arguments)


def integer_weight(integers: NDArray[np.int8], scales: NDArray[np.float32]) -> relax.Expr:
    zeros = relax.const(np.zeros(len(scales), "int8"))
    return dequantize(relax.const(integers), relax.const(scales), zeros, 0)


def test_image_weights_and_activations_go_through_integers() -> None:
    def expected(x: relax.Var) -> relax.Expr:
        pixels = round_trip(x, 1.0, "uint8")
        y = nn.relu(add(nn.conv2d(pixels, integer_weight(FIRST, FIRST_SCALES)), BIASES[0]))
        z = add(
            nn.conv2d(round_trip(y, 0.5, "uint8"), integer_weight(SECOND, SECOND_SCALES)),
            BIASES[1],
        )
        return round_trip(nn.relu(z), 0.25, "int8")

    got = insert([scales_of(FIRST_SCALES, 0.5), scales_of(SECOND_SCALES, 0.25, 127)])
    tvm.ir.assert_structural_equal(got, module(expected, SHAPE))


def test_without_activation_scales_only_weights_are_integers() -> None:
    def expected(x: relax.Var) -> relax.Expr:
        y = nn.relu(add(nn.conv2d(x, integer_weight(FIRST, FIRST_SCALES)), BIASES[0]))
        return nn.relu(add(nn.conv2d(y, integer_weight(SECOND, SECOND_SCALES)), BIASES[1]))

    got = insert([scales_of(FIRST_SCALES, None), scales_of(SECOND_SCALES, None)])
    tvm.ir.assert_structural_equal(got, module(expected, SHAPE))


def test_a_layer_without_scales_stays_as_it_is() -> None:
    before = module(two_layers, SHAPE)
    tvm.ir.assert_structural_equal(insert([None, None]), before)


@pytest.mark.parametrize("last", [127, 255])
@pytest.mark.parametrize("first", [127, 255])
def test_a_layer_rounds_its_input_first(first: int, last: int) -> None:
    """What is rounded again has its own type, the image 8 bits in any case."""
    dtypes = {127: "int8", 255: "uint8"}

    def expected(x: relax.Var) -> relax.Expr:
        image = round_trip(x, 0.01, "uint8", 128)
        y = nn.relu(add(nn.conv2d(image, integer_weight(FIRST, FIRST_SCALES)), BIASES[0]))
        again = round_trip(round_trip(y, 0.5, dtypes[first]), 0.3, dtypes[first])
        z = nn.relu(add(nn.conv2d(again, integer_weight(SECOND, SECOND_SCALES)), BIASES[1]))
        return round_trip(z, 0.25, dtypes[last])

    layers = [
        replace(scales_of(FIRST_SCALES, 0.5, first), input_qparams=QParams(0.01, 128)),
        replace(scales_of(SECOND_SCALES, 0.25, last), input_qparams=QParams(0.3, qmax=first)),
    ]
    tvm.ir.assert_structural_equal(insert(layers), module(expected, SHAPE))


def test_each_value_moves_by_at_most_half_a_step() -> None:
    x = RNG.integers(0, 256, SHAPE).astype("float64")
    exact = evaluate(insert([scales_of(FIRST_SCALES, None), None]), x)
    step = float(exact.max()) / 100
    got = evaluate(insert([scales_of(FIRST_SCALES, None), scales_of(SECOND_SCALES, step)]), x)
    assert abs(got - exact).max() <= step / 2 * (1 + 1e-4)
    assert abs(got - exact).max() > 0


@pytest.mark.parametrize("step", [1e-3, 1e-8, 1e-30])
def test_tiny_weights_are_whole_multiples_of_tiny_scales(step: float) -> None:
    scales = np.full(4, step, "float32")
    before = module(lambda x: nn.conv2d(x, weight(FIRST, scales)), SHAPE)
    after = apply(InsertQuantize([scales_of(scales, None)]), before)
    expected = module(lambda x: nn.conv2d(x, integer_weight(FIRST, scales)), SHAPE)
    tvm.ir.assert_structural_equal(after, expected)


@pytest.mark.parametrize("damage", [0.3, 0.02])
def test_weights_between_two_multiples_are_refused(damage: float) -> None:
    real = FIRST * FIRST_SCALES[:, None, None, None]
    real[2, 1, 1, 1] += damage * FIRST_SCALES[2]
    before = module(lambda x: nn.conv2d(x, const(real)), SHAPE)
    with pytest.raises(ValueError, match="whole multiples"):
        apply(InsertQuantize([scales_of(FIRST_SCALES, None)]), before)


def test_weights_beyond_eight_bits_are_refused() -> None:
    before = module(lambda x: nn.conv2d(x, weight(FIRST, FIRST_SCALES)), SHAPE)
    with pytest.raises(ValueError, match="whole multiples"):
        apply(InsertQuantize([scales_of(FIRST_SCALES / np.float32(2), None)]), before)


def test_scales_for_another_number_of_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="5 scales for 4 output channels"):
        insert([scales_of(SECOND_SCALES, None), None])


def test_an_activation_scale_without_a_relu_is_refused() -> None:
    without = module(lambda x: add(nn.conv2d(x, weight(FIRST, FIRST_SCALES)), BIASES[0]), SHAPE)
    with pytest.raises(ValueError, match="ReLU"):
        apply(InsertQuantize([scales_of(FIRST_SCALES, 0.5)]), without)
    assert apply(InsertQuantize([scales_of(FIRST_SCALES, None)]), without)


def test_scales_for_another_number_of_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        insert([None])
