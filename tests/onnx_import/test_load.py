"""ONNX files as checkpoints: what we export comes back bit for bit, what is damaged is refused."""

import contextlib
import itertools
import subprocess
import sys
from collections.abc import Callable, MutableSequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from lprnet.build import Request, build
from lprnet.compiler.compile import Source, compile_network
from lprnet.compiler.network import CompilerInput, torch_logits
from lprnet.compiler.onnx_file import quantized_to_onnx
from lprnet.compiler.targets import find_target
from lprnet.compression.calibration import calibrate
from lprnet.compression.compiler_inputs import imported_network, quantized_network
from lprnet.compression.quantize.post_training import quantize_static
from lprnet.compression.reduced import reduce
from lprnet.model.checkpoint import load_model
from lprnet.model.conv_graph import weight_and_bias
from lprnet.model.lprnet import LPRNet
from lprnet.model.onnx_export import to_onnx
from lprnet.model.preprocessing import normalise
from lprnet.model.quantized import QuantizedLPRNet
from lprnet.onnx_import.load import load_onnx
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from lprnet.synthetic.render import sample_plates
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.adding_up import added_up, adding_up, one_level
from tests.mixed_activations import mixed_activations
from tests.prepared import quantized_on_few_plates
from tests.shared_results import SharedResults

pytestmark = pytest.mark.usefixtures("few_calibration_images")

Damage = Callable[[onnx.GraphProto], object]


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.stack([image for image, _ in sample_plates(20)])


@pytest.fixture(scope="module")
def network(shared_results: SharedResults) -> CompilerInput:
    """Of weights that every CPU sums exactly."""
    return quantized_network(*shared_results.call(quantized_on_few_plates))


@pytest.fixture(scope="module")
def file(network: CompilerInput, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("qdq") / "lprnet.onnx"
    quantized_to_onnx(network, path)
    return path


def imported(path: Path) -> CompilerInput:
    quantized = load_onnx(path)
    assert isinstance(quantized, QuantizedLPRNet)
    return imported_network(quantized)


def request(checkpoint: Path, output: Path, **options: str | Path | None) -> Request:
    choices = {"quantized": None, "pruned": None, "calibration": None, **options}
    return Request(checkpoint, target="native", schedule="manual", output=output, **choices)  # type: ignore[arg-type]


def test_the_artifact_of_an_export_is_that_of_its_network(
    network: CompilerInput, file: Path, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    targets = [find_target("native")]
    source = Source(DEFAULT_CHECKPOINT, ())
    original = compile_network(network, targets, source, images, tmp_path / "original.so")
    built, _ = build(request(file, tmp_path))
    assert built.artifact.name == "lprnet-int8-native.so"
    assert built.manifest.checkpoint == "lprnet.onnx"
    assert built.parity is not None
    assert built.parity.same_plates == built.parity.images
    np.testing.assert_array_equal(
        Recognizer(built.artifact).logits(images), Recognizer(original.artifact).logits(images)
    )


@pytest.mark.parametrize(("qmax", "without"), [(127, 0), (255, 63), (255, 64)])
def test_the_integers_of_an_export_come_back(
    qmax: int,
    without: int,
    images: NDArray[np.uint8],
    tmp_path: Path,
    shared_results: SharedResults,
) -> None:
    """With activations of int8, with all but one channel of a layer gone, and with a dead layer."""
    if without == 0:
        reduced, quantized = shared_results.call(quantized_on_few_plates)
    else:
        model = load_model(DEFAULT_CHECKPOINT)
        with torch.no_grad():
            for parameter in weight_and_bias(model, "backbone.8.block.2"):
                parameter[:without] = 0.0
        reduced = reduce(calibrate(model, images[:5]))
        quantized = quantize_static(reduced, torch.from_numpy(normalise(images[:5])))
    layers = {name: replace(one, output_qmax=qmax) for name, one in quantized.layers.items()}
    network = quantized_network(reduced, replace(quantized, layers=layers))
    quantized_to_onnx(network, tmp_path / "m.onnx")
    expected = network.expected(images)
    found = imported(tmp_path / "m.onnx").expected(images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert abs(expected).max() > 1


def test_the_types_and_integers_of_mixed_activations_come_back(
    images: NDArray[np.uint8], tmp_path: Path, shared_results: SharedResults
) -> None:
    """Each layer's own type, also where a map is rounded again before it is read."""
    reduced, quantized = shared_results.call(quantized_on_few_plates)
    quantized = adding_up(mixed_activations(quantized))
    path = tmp_path / "m.onnx"
    quantized_to_onnx(quantized_network(reduced, quantized), path)
    again = load_onnx(path)
    assert isinstance(again, QuantizedLPRNet)
    for name, layer in quantized.layers.items():
        assert again.layers[name].output_qmax == layer.output_qmax
        assert again.layers[name].output_scale == pytest.approx(layer.output_scale)
    graph = onnx.load(str(path)).graph
    zero_points = [constant(graph, node.input[2]) for node in nodes(graph, "QuantizeLinear")]
    expected_types = {TensorProto.UINT8, TensorProto.INT8}
    assert {zero_point.data_type for zero_point in zero_points} == expected_types
    found = imported_network(again).expected(images)
    step = one_level(quantized)[:, None]
    expected = added_up(quantized, images)
    np.testing.assert_array_equal(np.rint(found / step), expected)


@pytest.mark.parametrize("means", [None, (0.4, 0.5, 0.6, 0.7)])
def test_a_float_export_comes_back(
    means: tuple[float, ...] | None, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    model = load_model(DEFAULT_CHECKPOINT)
    model.context_means = means
    to_onnx(model, tmp_path / "m.onnx")
    found = load_onnx(tmp_path / "m.onnx")
    assert isinstance(found, LPRNet)
    assert found.context_means == (None if means is None else pytest.approx(means))
    expected = torch_logits(model, images)
    got = torch_logits(found, images)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * abs(expected).max())


@pytest.fixture(scope="module")
def float_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("float") / "lprnet.onnx"
    to_onnx(load_model(DEFAULT_CHECKPOINT), path)
    return path


@pytest.mark.parametrize("number", [0, 5, 14])
def test_a_float_layer_without_its_relu_is_refused(
    number: int, float_file: Path, tmp_path: Path
) -> None:
    model = onnx.load(str(float_file))
    nodes(model.graph, "Relu")[number].op_type = "Identity"
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match=r"m\.onnx: .*(no ReLU before it|after its ReLU)"):
        load_onnx(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "options", [{"quantized": "weights"}, {"pruned": "structured"}, {"calibration": Path("plates")}]
)
def test_integers_are_built_as_they_are(
    options: dict[str, str | Path], file: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"lprnet\.onnx is quantized already"):
        build(request(file, tmp_path / "build", **options))
    assert not (tmp_path / "build").exists()


def nodes(graph: onnx.GraphProto, operator: str) -> list[NodeProto]:
    return [node for node in graph.node if node.op_type == operator]


def constant(graph: onnx.GraphProto, name: str) -> TensorProto:
    tensor: TensorProto = next(t for t in graph.initializer if t.name == name)
    return tensor


def fill(graph: onnx.GraphProto, name: str, value: float) -> None:
    """Every number of a constant becomes `value`."""
    tensor = constant(graph, name)
    values = np.full_like(numpy_helper.to_array(tensor), value)
    tensor.CopyFrom(numpy_helper.from_array(values, name))


def weight_scale(graph: onnx.GraphProto) -> str:
    """Of the second convolution's weights."""
    producers = {node.output[0]: node for node in graph.node}
    return str(producers[nodes(graph, "Conv")[1].input[1]].input[1])


def elsewhere(graph: onnx.GraphProto) -> None:
    tensor = constant(graph, weight_scale(graph))
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def huge(graph: onnx.GraphProto) -> None:
    tensor = constant(graph, weight_scale(graph))
    del tensor.dims[:]
    tensor.dims.extend([2**40, 2**20])


def huge_and_empty(graph: onnx.GraphProto) -> None:
    """Nothing is there, of which there is much."""
    producers = {node.output[0]: node for node in graph.node}
    tensor = constant(graph, producers[nodes(graph, "Conv")[1].input[1]].input[0])
    tensor.raw_data = b""
    tensor.dims[0], tensor.dims[1] = 2**40, 0


def hollow(graph: onnx.GraphProto) -> None:
    """A tensor with a shape and no values at all, which some libraries take for zeros."""
    max(graph.initializer, key=lambda tensor: len(tensor.raw_data)).ClearField("raw_data")


def set_ints(node: NodeProto, name: str, values: list[int]) -> None:
    (attribute,) = (entry for entry in node.attribute if entry.name == name)
    attribute.CopyFrom(helper.make_attribute(name, values))


def rescale(graph: onnx.GraphProto, node: NodeProto) -> None:
    """`node` gets a scale of its own."""
    graph.initializer.append(numpy_helper.from_array(np.float32(0.3), "a scale of its own"))
    node.input[1] = "a scale of its own"


def swap(inputs: MutableSequence[str], one: int, other: int) -> None:
    inputs[one], inputs[other] = inputs[other], inputs[one]


def repeat(inputs: MutableSequence[str]) -> None:
    inputs[0] = inputs[1]


def average_the_image(graph: onnx.GraphProto) -> None:
    nodes(graph, "AveragePool")[0].input[0] = graph.input[0].name


def reroute(graph: onnx.GraphProto) -> None:
    """The last layer reads its own output."""
    nodes(graph, "Conv")[-1].input[0] = graph.output[0].name


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda g: fill(g, weight_scale(g), np.nan), "holds NaN or infinity"),
        (lambda g: fill(g, weight_scale(g), 0.0), "a scale that is zero, negative"),
        (lambda g: fill(g, weight_scale(g), -1.0), "a scale that is zero, negative"),
        (lambda g: fill(g, weight_scale(g), 1e30), "whose products leave float32"),
        (lambda g: fill(g, weight_scale(g), 0.1), "QuantizeBias on"),
        (lambda g: rescale(g, nodes(g, "QuantizeLinear")[1]), "has another scale than"),
        (lambda g: rescale(g, nodes(g, "QuantizeLinear")[0]), "has another scale than"),
        (lambda g: fill(g, nodes(g, "QuantizeLinear")[0].input[1], 0.5), "reads an image rounded"),
        (lambda g: g.node.remove(nodes(g, "MaxPool")[1]), "reads what no earlier node computes"),
        (lambda g: g.node.remove(nodes(g, "Relu")[3]), "reads what no earlier node computes"),
        (lambda g: g.ClearField("node"), "nothing computes 'logits'"),
        (lambda g: g.ClearField("input"), "has 0 inputs and 1 outputs"),
        (lambda g: g.output.append(g.output[0]), "has 1 inputs and 2 outputs"),
        (lambda g: set_ints(nodes(g, "MaxPool")[0], "kernel_shape", [2, 2]), "3x3 max pool"),
        (lambda g: set_ints(nodes(g, "MaxPool")[1], "strides", [1, 1]), "do not have one size"),
        (lambda g: set_ints(nodes(g, "Conv")[2], "pads", [0, 1, 1, 1]), "no convolution of LPRNet"),
        (lambda g: set_ints(nodes(g, "AveragePool")[2], "strides", [16, 3]), "not have one size"),
        (lambda g: set_ints(nodes(g, "AveragePool")[2], "strides", [0, 2]), "context map 2"),
        (lambda g: set_ints(nodes(g, "AveragePool")[2], "pads", [1, 1, 1, 1]), "context map 2"),
        (lambda g: set_ints(nodes(g, "Concat")[0], "axis", [2]), "LPRNet's context maps"),
        (lambda g: repeat(nodes(g, "Concat")[0].input), "one of a layer of LPRNet each"),
        (lambda g: swap(nodes(g, "Concat")[0].input, 0, 3), "after 15 convolutions in a row"),
        (lambda g: setattr(nodes(g, "Relu")[2], "op_type", "Sigmoid"), "stands where LPRNet has"),
        (lambda g: setattr(nodes(g, "Relu")[2], "domain", "else.where"), "foreign domain"),
        (average_the_image, "after its ReLU"),
        (elsewhere, "lies in another file"),
        (huge, "does not hold what its shape says"),
        (hollow, "does not hold what its shape says"),
        (huge_and_empty, "is no convolution of LPRNet|no scale for each"),
        (reroute, "reads what no earlier node computes"),
        (lambda g: g.node.extend(nodes(g, "Relu") * 200), "more than any LPRNet"),
    ],
)
def test_what_is_no_lprnet_is_one_sentence(
    damage: Damage, sentence: str, file: Path, tmp_path: Path
) -> None:
    model = onnx.load(str(file))
    damage(model.graph)
    path = tmp_path / "theirs.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match=rf"theirs\.onnx.*({sentence})") as refused:
        load_onnx(path)
    assert "\n" not in str(refused.value)


def test_a_bad_file_ends_the_script_with_a_sentence(file: Path, tmp_path: Path) -> None:
    script = Path(__file__).resolve().parents[2] / "scripts" / "build.py"
    whole = file.read_bytes()
    for name, content in (("cut", whole[: len(whole) // 2]), ("text", b"not ONNX"), ("none", b"")):
        bad = tmp_path / f"{name}.onnx"
        bad.write_bytes(content)
        with pytest.raises(UserError, match=rf"{name}\.onnx"):
            load_onnx(bad)
    command = [sys.executable, str(script), "--checkpoint", str(tmp_path / "cut.onnx")]
    result = subprocess.run(
        [*command, "--output", str(tmp_path / "build")], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {tmp_path}/cut.onnx is not a readable ONNX file")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "build").exists()


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_any_damage_leaves_a_network_or_a_sentence(
    file: Path, damage: list[tuple[int, int]]
) -> None:
    """In the first 20,000 bytes are the nodes."""
    content = bytearray(file.read_bytes())
    for position, value in damage:
        content[position] = value
    damaged = file.with_name("damaged.onnx")
    damaged.write_bytes(content)
    with contextlib.suppress(UserError):
        load_onnx(damaged)


def functions(depth: int, domain: str, first: str) -> list[onnx.FunctionProto]:
    """`depth` operators, each of which calls the next one twice; the last is a Relu."""
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(domain or "its.own", 1)]
    names = [first, *(f"Twice{number}" for number in range(1, depth)), "Relu"]
    return [
        helper.make_function(
            domain,
            name,
            ["x"],
            ["z"],
            [
                helper.make_node(called, ["x"], ["y"], domain="" if called == "Relu" else domain),
                helper.make_node(called, ["y"], ["z"], domain="" if called == "Relu" else domain),
            ],
            imports,
        )
        for name, called in itertools.pairwise(names)
    ]


@pytest.mark.parametrize("domain", ["com.microsoft", ""])
def test_operators_that_the_file_defines_are_not_followed(
    domain: str, file: Path, tmp_path: Path
) -> None:
    """Forty that call each other twice are a million million Relus."""
    model = onnx.load(str(file))
    path = tmp_path / "own.onnx"
    model.functions.extend(functions(40, domain, "Relu"))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match=r"the Relu .* is defined by the file itself"):
        load_onnx(path)
    del model.functions[:]
    model.functions.extend(functions(40, domain, "Twice"))
    path.write_bytes(model.SerializeToString())
    assert isinstance(load_onnx(path), QuantizedLPRNet)  # nothing calls them
    node = helper.make_node("Twice", [model.graph.node[0].output[0]], ["unused"], domain=domain)
    model.graph.node.insert(1, node)
    if domain:
        model.opset_import.append(helper.make_opsetid(domain, 1))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match=r"the Twice unused is defined by the file itself"):
        load_onnx(path)


def test_views_that_each_sink_behind_each_operator(file: Path, tmp_path: Path) -> None:
    """A thousand of either would be a million rewrites."""
    model = onnx.load(str(file))
    first = model.graph.node[0]
    value = first.input[0]
    nodes: list[NodeProto] = []
    for number in range(1800):
        inputs, outputs = [value], [f"v{number}"]
        if number < 900:
            nodes.append(helper.make_node("Transpose", inputs, outputs, perm=[0, 2, 3, 1]))
        else:
            nodes.append(helper.make_node("Relu", inputs, outputs))
        (value,) = outputs
    first.input[0] = value
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
    path = tmp_path / "views.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match=r"views\.onnx: has more views and pools in a row"):
        load_onnx(path)
