from dataclasses import dataclass

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tvm import relax
from tvm.relax.op import add, astype, clip, dequantize, multiply, nn, quantize

from relay_passes.fold_quantize import FoldQuantize
from tests.quantized_reference import evaluate
from tests.relax_networks import apply, const, shared_module


@dataclass(frozen=True)
class Quantized:
    """A convolution between quantize and dequantize: every scale and zero point it has."""

    weight: NDArray[np.int8]
    weight_scale: NDArray[np.float32]
    bias: NDArray[np.float32]
    data_scale: float = 0.5
    data_zero_point: int = 0
    out_scale: float = 2.0
    dtype: str = "uint8"
    padding: int = 0
    weight_zero_point: int = 0
    out_zero_point: int = 0

    def module(self, shape: tuple[int, int, int, int]) -> tvm.IRModule:
        """The QDQ form, its input quantized as well."""
        channels = len(self.weight)

        def network(x: relax.Var, _emit: object) -> relax.Expr:
            data = relax.const(np.float32(self.data_scale)), self._zero(self.data_zero_point)
            out = relax.const(np.float32(self.out_scale)), self._zero(self.out_zero_point)
            zeros = np.full(channels, self.weight_zero_point, "int8")
            weight = dequantize(
                relax.const(self.weight), relax.const(self.weight_scale), relax.const(zeros), 0
            )
            real = dequantize(quantize(x, *data, 1, self.dtype), *data, 1)
            y = nn.conv2d(real, weight, padding=self.padding)
            biased = add(y, relax.const(self.bias.reshape(1, -1, 1, 1)))
            return quantize(nn.relu(biased), *out, 1, self.dtype)

        return shared_module(network, shape)

    def _zero(self, value: int) -> relax.Expr:
        return relax.const(np.array(value, self.dtype))


def example(seed: int, out: int = 3, into: int = 2, kernel: int = 3, **rest: object) -> Quantized:
    rng = np.random.default_rng(seed)
    weight = rng.integers(-127, 128, (out, into, kernel, kernel)).astype("int8")
    scale = rng.uniform(0.001, 0.01, out).astype("float32")
    bias = rng.normal(0, 5, out).astype("float32")
    return Quantized(weight, scale, bias, **rest)  # type: ignore[arg-type]


def operators(module: tvm.IRModule) -> list[str]:
    bindings = module["main"].body.blocks[0].bindings
    return [b.value.op.name.removeprefix("relax.") for b in bindings if hasattr(b.value, "op")]


REQUANTIZE = ["astype", "astype", "multiply", "round", "clip", "astype"]
FOLDED = ["quantize", "nn.conv2d", "add", *REQUANTIZE]


def test_the_integer_form() -> None:
    """b_q = 12 / (0.5 * 0.25) - 3 * sum(W), m = 0.5 * 0.25 / 2."""
    layer = Quantized(
        np.array([[[[2]], [[-5]]]], "int8"),
        np.array([0.25], "float32"),
        np.array([12.0], "float32"),
        data_zero_point=3,
    )

    def expected(x: relax.Var, _emit: object) -> relax.Expr:
        data = relax.const(np.float32(0.5)), relax.const(np.uint8(3)), 1
        acc = nn.conv2d(quantize(x, *data, "uint8"), relax.const(layer.weight), out_dtype="int32")
        biased = add(acc, relax.const(np.array([[[[96 + 9]]]], "int32")))
        multiplier = relax.const(np.array([[[[1 / 16]]]]), "float64")
        scaled = multiply(astype(astype(biased, "float32"), "float64"), multiplier)
        return astype(clip(relax.op.round(scaled), 0, 255), "uint8")

    shape = (1, 2, 4, 5)
    folded = apply(FoldQuantize(), layer.module(shape))
    tvm.ir.assert_structural_equal(folded, shared_module(expected, shape))


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    out=st.integers(1, 5),
    into=st.integers(1, 4),
    kernel=st.sampled_from([1, 3]),
    zero_point=st.sampled_from([0, 1, 100]),
    padding=st.integers(0, 1),
    dtype=st.sampled_from(["uint8", "int8"]),
    out_scale=st.floats(0.05, 5),
)
def test_integers_stay_within_rounding_of_the_real_values(
    seed: int,
    out: int,
    into: int,
    kernel: int,
    zero_point: int,
    padding: int,
    dtype: str,
    out_scale: float,
) -> None:
    """The bias is off by up to half a unit of the accumulator, the output by half a level, float32
    by a few of its own units; levels end at 0 and at the type's maximum.
    """
    padding = 0 if zero_point else padding
    layer = example(
        seed, out, into, kernel,
        data_zero_point=zero_point, padding=padding, dtype=dtype, out_scale=out_scale,
    )  # fmt: skip
    shape = (1, into, 4, 5)
    before = layer.module(shape)
    after = apply(FoldQuantize(), before)
    assert operators(after) == FOLDED
    x = np.random.default_rng(seed).normal(0, 30, shape)
    got = evaluate(after, x)
    levels = np.iinfo(dtype).max
    assert got.dtype == dtype
    assert got.min() >= 0

    data = (np.rint(x / 0.5) + zero_point).clip(np.iinfo(dtype).min, levels) - zero_point
    padded = np.pad(data, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
    unit = 0.5 * layer.weight_scale.astype("float64") / np.float32(out_scale)
    real = np.zeros(got.shape)
    for i in range(kernel):
        for j in range(kernel):
            tap = padded[:, :, i : i + got.shape[2], j : j + got.shape[3]]
            real += np.einsum("nchw,oc->nohw", tap, layer.weight[:, :, i, j].astype("float64"))
    real = real * unit.reshape(1, -1, 1, 1) + layer.bias.reshape(1, -1, 1, 1) / out_scale
    slack = 0.5 + 0.5 * unit.reshape(1, -1, 1, 1) + 1e-6 * (1 + abs(real))
    assert (abs(got - real.clip(0, levels)) <= slack).all()


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), zero_point=st.sampled_from([0, 7, 128]))
def test_binary_scales_lose_nothing(seed: int, zero_point: int) -> None:
    """Biases on the accumulator's grid and scales that are powers of two: no rounding but the one
    of the QDQ form itself, so the two are equal bit for bit.
    """
    rng = np.random.default_rng(seed)
    layer = Quantized(
        rng.integers(-127, 128, (4, 3, 1, 1)).astype("int8"),
        (2.0 ** rng.integers(-6, -2, 4)).astype("float32"),
        np.zeros(4, "float32"),
        data_zero_point=zero_point,
        out_scale=8.0,
    )
    bias = rng.integers(-5000, 5000, 4) * layer.weight_scale * 0.5
    layer = Quantized(**{**layer.__dict__, "bias": bias.astype("float32")})
    before = layer.module((1, 3, 6, 7))
    x = rng.normal(0, 40, (1, 3, 6, 7))
    np.testing.assert_array_equal(evaluate(apply(FoldQuantize(), before), x), evaluate(before, x))


@pytest.mark.parametrize(
    "layer",
    [
        example(0, data_zero_point=3, padding=1),
        example(0, weight_zero_point=2),
        example(0, out_zero_point=5),
    ],
    ids=["padded with a zero point", "weights with a zero point", "output with a zero point"],
)
def test_what_has_no_exact_integer_form_is_left_alone(layer: Quantized) -> None:
    before = layer.module((1, 2, 5, 5))
    tvm.ir.assert_structural_equal(apply(FoldQuantize(), before), before)


def test_a_float_convolution_is_left_alone() -> None:
    weight = const(np.ones((3, 2, 1, 1)))
    scale, zero = relax.const(np.float32(0.5)), relax.const(np.uint8(0))

    def network(x: relax.Var, _emit: object) -> relax.Expr:
        y = add(nn.conv2d(x, weight), const(np.ones((1, 3, 1, 1))))
        return quantize(nn.relu(y), scale, zero, 1, "uint8")

    before = shared_module(network, (1, 2, 5, 5))
    tvm.ir.assert_structural_equal(apply(FoldQuantize(), before), before)


@pytest.mark.parametrize("bias", [1e4, -1e4])
def test_a_sum_that_may_leave_int32_is_refused(bias: float) -> None:
    """Cut to int32, an output that belongs at the top of its range would come out as zero."""
    weight, scale = np.ones((1, 1, 1, 1), "int8"), np.array([1e-12], "float32")
    layer = Quantized(weight, scale, np.array([bias], "float32"))
    with pytest.raises(ValueError, match="int32"):
        apply(FoldQuantize(), layer.module((1, 1, 2, 2)))
