"""Tables against ONNX's own reference of DequantizeLinear and QuantizeLinear."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from schedules.requantize_table import requantization

grid = [("scale", TensorProto.FLOAT), ("zero", TensorProto.UINT8)]
grids = [(f"{side}_{name}", kind) for side in ("old", "new") for name, kind in grid]
GRAPH = helper.make_graph(
    [
        helper.make_node("DequantizeLinear", ["q", "old_scale", "old_zero"], ["real"]),
        helper.make_node("QuantizeLinear", ["real", "new_scale", "new_zero"], ["requantized"]),
    ],
    "requantize",
    [
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in [
            ("q", TensorProto.UINT8, [256]),
            *((name, kind, []) for name, kind in grids),
        ]
    ],
    [helper.make_tensor_value_info("requantized", TensorProto.UINT8, [256])],
)
MODEL = helper.make_model(GRAPH, opset_imports=[helper.make_opsetid("", 19)])
REFERENCE = ReferenceEvaluator(MODEL)

scales = st.floats(2**-10, 2**10, width=32)
zero_points = st.integers(0, 255)


@given(scales, zero_points, scales, zero_points)
def test_as_onnx_defines_it(scale: float, zero: int, new_scale: float, new_zero: int) -> None:
    values = [np.arange(256, dtype=np.uint8), np.float32(scale), np.uint8(zero)]
    values += [np.float32(new_scale), np.uint8(new_zero)]
    inputs = dict(zip(["q", *(name for name, _ in grids)], map(np.asarray, values), strict=True))
    (expected,) = REFERENCE.run(None, inputs)
    table = requantization(scale, zero, new_scale, new_zero, 255)
    np.testing.assert_array_equal(table, expected)
    assert (requantization(scale, zero, new_scale, new_zero, 127) <= 127).all()


@given(scales, zero_points)
def test_the_same_grid_changes_nothing(scale: float, zero: int) -> None:
    np.testing.assert_array_equal(requantization(scale, zero, scale, zero, 255), np.arange(256))


def test_pixels_on_half_steps_round_to_even() -> None:
    """A zero point of 127.5 lies between integers: pixels 127 and 128 are half a step away."""
    table = requantization(1 / 128, 127.5, 1 / 128, 128, 255)
    np.testing.assert_array_equal(table[[0, 1, 127, 128, 129, 255]], [0, 2, 128, 128, 130, 255])
