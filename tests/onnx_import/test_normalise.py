"""Each rewrite of ONNX graphs: a graph before it, and the operators that are left behind it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from lprnet.onnx_import import normalise as stage
from lprnet.onnx_import.fold_batch_norm import fold_batch_norm
from lprnet.onnx_import.graph import OnnxGraph, read_graph
from lprnet.onnx_import.identities import (
    drop_dropout,
    drop_identity,
    drop_unit_pool,
    drop_zero_pad,
    fold_cast,
)
from lprnet.onnx_import.pools import pool_before_unsqueeze, slice_before_transpose, split_3d_pool
from lprnet.onnx_import.reduced_norm import fold_norm_factor, sink_height_mean
from lprnet.onnx_import.rewrite import Rewrite, apply
from lprnet.onnx_import.views import (
    cancel_transposes,
    cancel_unsqueeze,
    drop_output_transpose,
    name_reshape,
    sink_view,
    squeeze_in_mean,
)
from lprnet.support.errors import UserError

HEAD = '<ir_version: 8, opset_import: ["" : 13]> g (float[1,3,8,9] image) => (float[] y) '
CONSTANTS = {
    "w": np.ones((4, 3, 1, 1), np.float32),
    "w4": np.arange(8, dtype=np.float32).reshape(2, 4, 1, 1),
    "zero": np.array([0]),
    "one": np.array([1]),
    "two": np.array([2]),
    "pads": np.zeros(8, np.int64),
    "pad": np.array([0, 0, 1, 0, 0, 0, 0, 0]),
    "deep": np.array([1, 1, 4, 8, 9]),
    "flat": np.array([1, 4, 72]),
    "plane": np.array([1, 4, 8, 9]),
    "training": np.array(True),
    "ratio": np.array(0.5, np.float32),
    "s": np.array(0.5, np.float32),
    "s4": np.full(4, 0.5, np.float32),
    "z": np.array(0, np.uint8),
    "z4": np.zeros(4, np.uint8),
}


def graph_of(body: str, folder: Path) -> OnnxGraph:
    """`body` in ONNX's text form, reading `image` and `CONSTANTS`, as a file that is read."""
    model = parser.parse_model(f"{HEAD} {{ {body} }}")
    model.graph.initializer.extend(
        numpy_helper.from_array(values, name) for name, values in CONSTANTS.items()
    )
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return read_graph(folder / "m.onnx")


def described(graph: OnnxGraph) -> list[str]:
    """The operators from the image to the result, with what says most of each."""
    texts, value = [], graph.result
    while value is not graph.image:
        node = value.producer()
        assert node is not None
        texts.append(_text(graph, node))
        assert node.inputs[0] is not None
        value = node.inputs[0]
    return texts[::-1]


def _text(graph: OnnxGraph, node: ir.Node) -> str:
    match node.op_type:
        case "MaxPool":
            size = [graph.integers(node, key, []) for key in ("kernel_shape", "strides")]
            return f"MaxPool{size[0]}{size[1]}"
        case "Slice":
            axis, step = (int(graph.constant(node, index).item()) for index in (3, 4))
            return f"Slice axis {axis} step {step}"
        case "Unsqueeze" | "Squeeze":
            return f"{node.op_type}{graph.axes(node, 5)}"
        case "Transpose":
            return f"Transpose{graph.integers(node, 'perm', [])}"
        case _:
            return node.op_type


CONV = "c = Conv(image, w) "


@pytest.mark.parametrize(
    ("rewrite", "before", "after"),
    [
        (drop_identity, "y = Identity(c)", []),
        (drop_dropout, "y = Dropout(c)", []),
        (drop_dropout, "y = Dropout(c, ratio)", []),
        (drop_zero_pad, "y = Pad(c, pads)", []),
        (drop_zero_pad, "y = Pad(c, pad)", ["Pad"]),
        (drop_unit_pool, "y = MaxPool<kernel_shape=[1,1], strides=[1,1]>(c)", []),
        (
            drop_unit_pool,
            "y = MaxPool<kernel_shape=[1,1], strides=[1,2]>(c)",
            ["MaxPool[1, 1][1, 2]"],
        ),
        (name_reshape, "y = Reshape(c, deep)", ["Unsqueeze[0]"]),
        (name_reshape, "y = Reshape(c, flat)", ["Reshape"]),
        (
            name_reshape,
            "a = Reshape(c, deep) y = Reshape(a, plane)",
            ["Unsqueeze[0]", "Squeeze[0]"],
        ),
        (sink_view, "a = Unsqueeze(c, one) y = Relu(a)", ["Relu", "Unsqueeze[1]"]),
        (
            sink_view,
            "a = Transpose<perm=[0,3,2,1]>(c) q = QuantizeLinear(a, s, z) "
            "y = DequantizeLinear(q, s, z)",
            ["QuantizeLinear", "DequantizeLinear", "Transpose[0, 3, 2, 1]"],
        ),
        (
            sink_view,
            "a = Transpose<perm=[0,3,2,1]>(c) y = QuantizeLinear<axis=3>(a, s4, z4)",
            ["Transpose[0, 3, 2, 1]", "QuantizeLinear"],
        ),
        (
            pool_before_unsqueeze,
            "a = Unsqueeze(c, zero) y = MaxPool<kernel_shape=[1,3,3], strides=[2,1,2]>(a)",
            ["MaxPool[1, 3, 3][2, 1, 2]", "Unsqueeze[0]"],
        ),
        (
            pool_before_unsqueeze,
            "a = Unsqueeze(c, two) y = MaxPool<kernel_shape=[1,3,3], strides=[2,1,2]>(a)",
            ["MaxPool[3, 3][1, 2]", "Unsqueeze[2]"],
        ),
        (
            pool_before_unsqueeze,
            "a = Unsqueeze(c, zero) y = MaxPool<kernel_shape=[2,3,3], strides=[2,1,2]>(a)",
            ["Unsqueeze[0]", "MaxPool[2, 3, 3][2, 1, 2]"],
        ),
        (
            split_3d_pool,
            "y = MaxPool<kernel_shape=[1,3,3], strides=[2,1,2]>(c)",
            ["Slice axis 1 step 2", "MaxPool[3, 3][1, 2]"],
        ),
        (
            split_3d_pool,
            "y = MaxPool<kernel_shape=[1,3,3], strides=[1,1,1]>(c)",
            ["MaxPool[3, 3][1, 1]"],
        ),
        (
            split_3d_pool,
            "a = Unsqueeze(c, one) y = MaxPool<kernel_shape=[1,3,3], strides=[2,1,2]>(a)",
            ["Unsqueeze[1]", "MaxPool[1, 3, 3][2, 1, 2]"],
        ),
        (
            slice_before_transpose,
            "a = Transpose<perm=[0,3,2,1]>(c) y = MaxPool<kernel_shape=[1,1], strides=[1,4]>(a)",
            ["Slice axis 1 step 4", "Transpose[0, 3, 2, 1]"],
        ),
        (
            slice_before_transpose,
            "a = Transpose<perm=[0,3,2,1]>(c) y = MaxPool<kernel_shape=[1,2], strides=[1,2]>(a)",
            ["Transpose[0, 3, 2, 1]", "MaxPool[1, 2][1, 2]"],
        ),
        (cancel_unsqueeze, "a = Unsqueeze(c, one) y = Squeeze(a, one)", []),
        (
            cancel_unsqueeze,
            "a = Unsqueeze(c, one) y = Squeeze(a, zero)",
            ["Unsqueeze[1]", "Squeeze[0]"],
        ),
        (
            cancel_transposes,
            "a = Transpose<perm=[0,2,3,1]>(c) b = Transpose<perm=[0,3,1,2]>(a) y = Relu(b)",
            ["Relu"],
        ),
        (
            cancel_transposes,
            "a = Transpose<perm=[0,2,3,1]>(c) b = Transpose<perm=[0,2,3,1]>(a) y = Relu(b)",
            ["Transpose[0, 2, 3, 1]", "Transpose[0, 2, 3, 1]", "Relu"],
        ),
        (drop_output_transpose, "y = Transpose<perm=[0,2,1]>(c)", []),
        (
            drop_output_transpose,
            "a = Transpose<perm=[0,2,1]>(c) y = Relu(a)",
            ["Transpose[0, 2, 1]", "Relu"],
        ),
    ],
)
def test_a_rewrite_leaves(rewrite: Rewrite, before: str, after: list[str], tmp_path: Path) -> None:
    graph = graph_of(CONV + before, tmp_path)
    apply(graph, [rewrite])
    assert described(graph) == ["Conv", *after]


def test_a_constant_of_another_type_is_cast(tmp_path: Path) -> None:
    graph = graph_of(f"{CONV} p = Cast<to=1>(two) y = Pow(c, p)", tmp_path)
    apply(graph, [fold_cast])
    power = graph.result.producer()
    assert power is not None
    assert graph.constant(power, 1).dtype == np.float32
    assert graph.constant(power, 1).tolist() == [2.0]


def test_a_squeezed_mean_is_a_mean(tmp_path: Path) -> None:
    graph = graph_of(
        f"{CONV} m = ReduceMean<axes=[2], keepdims=1>(c) y = Squeeze(m, two)", tmp_path
    )
    apply(graph, [squeeze_in_mean])
    assert described(graph) == ["Conv", "ReduceMean"]
    mean = graph.result.producer()
    assert mean is not None
    assert (graph.axes(mean, 4), graph.integers(mean, "keepdims", [1])) == ([2], [0])


def test_a_chain_of_views_around_a_quantized_pool_goes(tmp_path: Path) -> None:
    graph = graph_of(
        f"{CONV} a = Unsqueeze(c, one) q = QuantizeLinear(a, s, z) b = DequantizeLinear(q, s, z) "
        "p = MaxPool<kernel_shape=[1,3,3], strides=[2,1,2]>(b) r = QuantizeLinear(p, s, z) "
        "d = DequantizeLinear(r, s, z) y = Squeeze(d, one)",
        tmp_path,
    )
    stage.normalise(graph)
    quantized = ["QuantizeLinear", "DequantizeLinear"]
    pool = ["Slice axis 1 step 2", "MaxPool[3, 3][1, 2]"]
    assert described(graph) == ["Conv", *quantized, *pool, *quantized]


def test_a_value_with_other_consumers_stays_for_them(tmp_path: Path) -> None:
    graph = graph_of(
        f"{CONV} a = Unsqueeze(c, one) r = Relu(a) t = Squeeze(r, one) u = Squeeze(a, one) "
        "y = Add(t, u)",
        tmp_path,
    )
    stage.normalise(graph)
    added = graph.result.producer()
    assert added is not None
    producers = [value.producer() for value in added.inputs if value is not None]
    assert [node.op_type for node in producers if node is not None] == ["Relu", "Conv"]


def normed(attributes: dict[str, Any]) -> onnx.ModelProto:
    """A convolution without bias and a batch norm of random statistics."""
    random = np.random.default_rng(2)
    constants = {
        "w": random.normal(size=(4, 3, 3, 1)),
        "gamma": random.normal(size=4),
        "beta": random.normal(size=4),
        "mean": random.normal(size=4),
        "variance": random.uniform(0.1, 2, size=4),
    }
    names = ["c", "gamma", "beta", "mean", "variance"]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "w"], ["c"], pads=[1, 0, 1, 0]),
            helper.make_node("BatchNormalization", names, ["y"], **attributes),
        ],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 9])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 8, 9])],
        [numpy_helper.from_array(v.astype(np.float32), name) for name, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


@pytest.mark.parametrize("attributes", [{}, {"epsilon": 0.1}])
def test_a_batch_norm_goes_into_its_convolution(attributes: dict[str, Any], tmp_path: Path) -> None:
    model = normed(attributes)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    graph = read_graph(tmp_path / "m.onnx")
    apply(graph, [fold_batch_norm])
    assert described(graph) == ["Conv"]
    conv = graph.result.producer()
    assert conv is not None
    image = np.random.default_rng(3).normal(size=(1, 3, 8, 9)).astype(np.float32)
    expected: Any = ReferenceEvaluator(model).run(None, {"image": image})
    folded = normed({})
    del folded.graph.node[1]
    for name, index in (("w", 1), ("b", 2)):
        folded.graph.initializer.append(numpy_helper.from_array(graph.constant(conv, index), name))
    del folded.graph.initializer[0]
    folded.graph.node[0].input.append("b")
    folded.graph.node[0].output[0] = "y"
    found: Any = ReferenceEvaluator(folded).run(None, {"image": image})
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("body", "rewrite", "sentence"),
    [
        (f"{CONV} y = Dropout(c, ratio, training)", drop_dropout, "the Dropout .* training mode"),
        (
            f"{CONV} y, m, v = BatchNormalization<training_mode=1>(c, s4, s4, s4, s4)",
            fold_batch_norm,
            r"the BatchNormalization .* call model\.eval\(\)",
        ),
        (
            f"{CONV} r = Relu(c) y = BatchNormalization(r, s4, s4, s4, s4)",
            fold_batch_norm,
            "cannot be folded",
        ),
        (
            f"{CONV} b = BatchNormalization(c, s4, s4, s4, s4) y = Add(b, c)",
            fold_batch_norm,
            "cannot be folded",
        ),
        (
            f"{CONV} y = BatchNormalization(c, s, s, s, s)",
            fold_batch_norm,
            "statistics that do not fit",
        ),
    ],
)
def test_what_cannot_be_rewritten_is_refused(
    body: str, rewrite: Rewrite, sentence: str, tmp_path: Path
) -> None:
    graph = graph_of(body, tmp_path)
    with pytest.raises(UserError, match=rf"m\.onnx: {sentence}|{sentence}"):
        apply(graph, [rewrite])


def test_the_stage_has_every_rewrite() -> None:
    """None that is tested here is left out of it."""
    every = {name_reshape, *stage.REWRITES}
    assert {
        drop_identity,
        drop_dropout,
        drop_zero_pad,
        drop_unit_pool,
        fold_cast,
        name_reshape,
        sink_view,
        pool_before_unsqueeze,
        split_3d_pool,
        slice_before_transpose,
        cancel_unsqueeze,
        cancel_transposes,
        squeeze_in_mean,
        drop_output_transpose,
        fold_batch_norm,
        fold_norm_factor,
        sink_height_mean,
    } == every


REDUCED = (
    f"{CONV} p = AveragePool<kernel_shape=[8,1], strides=[8,1]>(c) q = Mul(c, c) "
    "m = ReduceMean<axes=[1,2,3]>(q) k = Mul(m, s) d = Div(p, k) j = Concat<axis=1>(d) "
    "e = Conv(j, w) y = Squeeze(e, two)"
)


def evaluated(graph: OnnxGraph, body: str) -> tuple[Any, Any]:
    """What the graph computes now, and what `body` did."""
    image = np.random.default_rng(0).normal(size=(1, 3, 8, 9)).astype(np.float32)
    model = parser.parse_model(f"{HEAD} {{ {body} }}")
    model.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in CONSTANTS.items())
    for node in graph.graph:
        for value in node.inputs:
            if value is not None and value.const_value is not None and value.producer() is None:
                graph.graph.initializers[str(value.name)] = value
    found = ir.to_proto(ir.Model(graph.graph, ir_version=8))
    now, before = (
        ReferenceEvaluator(one).run(None, {"image": image})[0]  # type: ignore[index]
        for one in (found, model)
    )
    return now, before


@pytest.mark.parametrize(
    ("rewrites", "body", "after"),
    [
        (
            [fold_norm_factor],
            REDUCED,
            ["Conv", "AveragePool", "Div", "Concat", "Conv", "Squeeze[2]"],
        ),
        (
            [fold_norm_factor, sink_height_mean],
            REDUCED,
            ["Conv", "Div", "Concat", "Conv", "ReduceMean"],
        ),
        (
            [sink_height_mean],
            REDUCED.replace("kernel_shape=[8,1]", "kernel_shape=[7,1]"),
            ["Conv", "AveragePool", "Div", "Concat", "Conv", "Squeeze[2]"],
        ),
        (
            [fold_norm_factor, sink_height_mean],
            REDUCED.replace("Div(p, k)", "Div(p, s)"),
            ["Conv", "AveragePool", "Div", "Concat", "Conv", "Squeeze[2]"],
        ),
    ],
    ids=["factor", "height", "some rows", "a constant"],
)
def test_norms_of_a_reduced_network(
    rewrites: list[Rewrite], body: str, after: list[str], tmp_path: Path
) -> None:
    graph = graph_of(body.replace("Conv(j, w)", "Conv(j, w4)"), tmp_path)
    apply(graph, rewrites)
    assert described(graph) == after
    found, expected = evaluated(graph, body.replace("Conv(j, w)", "Conv(j, w4)"))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
