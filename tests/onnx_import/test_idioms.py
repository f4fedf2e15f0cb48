"""The forms in which people have LPRNet as ONNX: each compiles and computes what torch does, or is
refused in one sentence.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from lprnet.build import Request, build
from lprnet.compression.variants import prepare
from lprnet.measure.onnx_input import read_input
from lprnet.model.checkpoint import Stated
from lprnet.model.lprnet import LPRNet
from lprnet.model.onnx_export import to_onnx
from lprnet.model.preprocessing import normalise
from lprnet.model.published_lprnet import lprnet
from lprnet.onnx_import.load import load_onnx
from lprnet.runtime.alphabet import CHINA
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from lprnet.synthetic.render import sample_plates
from tests.onnx_import.exports import WIDTHS, export, exported, logits_of, sample


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.stack([image for image, _ in sample_plates(3)])


def assert_same_network(path: Path, model: nn.Module, images: Tensor, **stated: Any) -> LPRNet:
    """`path` is loaded as a network with the logits of `model`."""
    found = load_onnx(path, Stated(**stated))
    assert isinstance(found, LPRNet)
    expected = logits_of(model, images)
    assert abs(expected).max() > 1
    np.testing.assert_allclose(
        logits_of(found, images), expected, rtol=0, atol=1e-4 * abs(expected).max()
    )
    return found


@pytest.mark.parametrize(
    ("form", "opset", "batch"),
    [
        ("plain", 9, 1),
        ("plain", 11, 2),
        ("plain", 13, None),
        ("plain", 15, 1),
        ("plain", 18, 2),
        ("plain", 20, None),
        ("planes", 9, 1),
        ("planes", 10, None),
        ("planes", 12, 2),
        ("planes", 14, 1),
        ("planes", 16, None),
        ("planes", 19, 2),
        ("unsqueezed", 11, None),
        ("unsqueezed", 13, 2),
        ("viewed", 13, 1),
        ("viewed", 17, 2),
    ],
)
def test_the_older_exporter(form: str, opset: int, batch: int | None, tmp_path: Path) -> None:
    model = exported(form)
    path = export(model, tmp_path / "theirs.onnx", opset, batch)
    found = assert_same_network(path, model, sample(2))
    assert found.context_means is None


@pytest.mark.parametrize("form", ["plain", "planes"])
def test_the_newer_exporter(form: str, newer_files: dict[str, Path]) -> None:
    assert_same_network(newer_files[form], exported(form), sample(2))


def test_weights_among_the_inputs(tmp_path: Path) -> None:
    model = exported("planes")
    path = export(model, tmp_path / "theirs.onnx", 13, keep_initializers_as_inputs=True)
    assert len(onnx.load(path).graph.input) > 1
    assert_same_network(path, model, sample(2))


@pytest.mark.parametrize(("form", "opset"), [("plain", 9), ("planes", 17)])
def test_logits_by_position(form: str, opset: int, tmp_path: Path) -> None:
    model = exported(form, transposed=True)
    path = export(model, tmp_path / "theirs.onnx", opset)
    assert onnx.load(path).graph.node[-1].op_type == "Transpose"
    assert_same_network(path, exported(form), sample(2))


@pytest.mark.parametrize(("form", "opset"), [("plain", 9), ("planes", 13), ("plain", 20)])
def test_batch_norms_of_their_own(form: str, opset: int, tmp_path: Path) -> None:
    model = exported(form)
    path = export(model, tmp_path / "theirs.onnx", opset, do_constant_folding=False)
    operators = [node.op_type for node in onnx.load(path).graph.node]
    assert operators.count("BatchNormalization") == 6
    assert_same_network(path, model, sample(2))


@pytest.mark.parametrize("form", ["plain", "viewed"])
def test_a_simplified_file(form: str, tmp_path: Path) -> None:
    """Constants folded, norms fused and shapes noted, as onnxsim leaves a file."""
    from onnxscript import optimizer

    model = exported(form)
    path = export(model, tmp_path / "theirs.onnx", 18, do_constant_folding=False)
    simple = optimizer.optimize(onnx.load(path), onnx_shape_inference=form != "plain")
    assert "Constant" not in {node.op_type for node in simple.graph.node}
    path.write_bytes(simple.SerializeToString())
    assert_same_network(path, model, sample(2))


@pytest.mark.parametrize("form", ["plain", "planes"])
def test_norms_that_a_trace_froze_are_constants(form: str, tmp_path: Path) -> None:
    model = exported(form, frozen=True)
    path = export(model, tmp_path / "theirs.onnx", 12)
    found = assert_same_network(path, model, sample())
    assert found.context_means is not None
    assert len(set(found.context_means)) == 4
    capitals = path.rename(tmp_path / "THEIRS.ONNX")
    network, _, _ = prepare(capitals, None, None)
    (note,) = network.notes
    assert note.startswith(f"{capitals} divides its contexts by constants")


@pytest.mark.parametrize(("classes", "alphabet"), [(66, "china-no-io"), (37, "latin")])
def test_other_alphabets(classes: int, alphabet: str, tmp_path: Path) -> None:
    model = exported("planes", classes=classes)
    path = export(model, tmp_path / "theirs.onnx", 12)
    found = assert_same_network(path, model, sample(2), alphabet=alphabet)
    assert found.architecture.alphabet.name == alphabet


@pytest.mark.parametrize("form", ["plain", "planes"])
def test_other_sizes_and_pools(form: str, tmp_path: Path) -> None:
    """Which the file says, with a known alphabet of as many classes."""
    pools = (((5, 22), (5, 4)), ((5, 20), (5, 4)), ((4, 9), (4, 2)))
    model = exported(form, classes=37, pools=pools)
    path = export(model, tmp_path / "theirs.onnx", 12, width=160)
    found = assert_same_network(path, model, sample(2, 160))
    assert found.architecture.image_shape == (3, 24, 160)
    assert found.architecture.alphabet.name == "latin"


@pytest.mark.parametrize("size", [None, (128, 32)])
def test_pools_may_be_said_without_the_size_that_they_are_for(
    size: tuple[int, int] | None, tmp_path: Path
) -> None:
    """The file says both; those of a checkpoint are said by such a file and `--size`."""
    architecture = lprnet(CHINA, 32, 128, 3, WIDTHS)
    path, said = tmp_path / "own.onnx", tmp_path / "a.json"
    to_onnx(LPRNet(architecture).eval(), path)
    said.write_text(json.dumps({"contexts": [asdict(one) for one in architecture.contexts]}))
    stated = Stated(architecture=said, size=size)
    found = load_onnx(path, stated)
    assert isinstance(found, LPRNet)
    assert found.architecture.contexts == architecture.contexts
    assert read_input(path, stated).image_format == architecture.image_format


def test_colours_in_the_other_order(tmp_path: Path) -> None:
    model = exported("planes")
    path = export(model, tmp_path / "theirs.onnx", 12)
    found = load_onnx(path, Stated(order="rgb"))
    assert isinstance(found, LPRNet)
    expected = logits_of(model, sample(2).flip(1))
    np.testing.assert_allclose(
        logits_of(found, sample(2)), expected, rtol=0, atol=1e-4 * abs(expected).max()
    )


@pytest.mark.parametrize("read", [load_onnx, read_input])
def test_grey_images_have_no_order_of_colours(
    read: Callable[[Path, Stated], object], tmp_path: Path
) -> None:
    path = tmp_path / "grey.onnx"
    to_onnx(LPRNet(lprnet(CHINA, 24, 94, 1, WIDTHS)).eval(), path)
    with pytest.raises(UserError, match=r"grey\.onnx .*which have no order of colours; leave out"):
        read(path, Stated(order="rgb"))
    read(path, Stated(order="bgr"))


@pytest.mark.parametrize("form", ["plain", "planes"])
def test_an_artifact_computes_what_torch_does(
    form: str, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    model = exported(form, classes=66)
    path = export(model, tmp_path / "theirs.onnx", 11)
    built, _ = build(Request(path, None, None, "native", "manual", None, tmp_path))
    assert built.manifest.alphabet.name == "china-no-io"
    expected = logits_of(model, torch.from_numpy(normalise(images)))
    found = Recognizer(built.artifact).logits(images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * abs(expected).max())


class Transformed(nn.Module):
    """A network behind a spatial transformer's sampling."""

    def __init__(self) -> None:
        super().__init__()
        self.network = exported("planes")
        theta = torch.tensor([[[1.0, 0.1, 0.0], [0.0, 1.0, 0.1]]])
        self.register_buffer("grid", F.affine_grid(theta, [1, 3, 24, 94], align_corners=False))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.network(F.grid_sample(x, self.get_buffer("grid"), align_corners=False))
        return out


class Probabilities(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = exported("planes")

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.network(x).softmax(1)
        return out


@pytest.mark.parametrize(
    ("model", "opset", "options", "sentence"),
    [
        (Transformed, 16, {}, "spatial transformer"),
        (Probabilities, 13, {}, "the Softmax .* computes 'logits' where LPRNet has its ReduceMean"),
        (lambda: exported("plain", classes=78), 13, {}, "78 classes, .* --alphabet FILE"),
        (
            lambda: exported("planes"),
            13,
            {"training": torch.onnx.TrainingMode.TRAINING, "do_constant_folding": False},
            "was exported in training mode",
        ),
        (lambda: exported("planes").backbone, 13, {}, "LPRNet has its ReduceMean or Squeeze"),
    ],
    ids=["transformer", "probabilities", "alphabet", "training", "backbone"],
)
def test_what_is_not_compiled_is_one_sentence(
    model: Callable[[], nn.Module],
    opset: int,
    options: dict[str, Any],
    sentence: str,
    tmp_path: Path,
) -> None:
    path = export(model(), tmp_path / "theirs.onnx", opset, **options)
    with pytest.raises(UserError, match=rf"theirs\.onnx.*{sentence}") as refused:
        load_onnx(path)
    assert "\n" not in str(refused.value)


def test_a_size_that_is_not_the_files_is_refused(tmp_path: Path) -> None:
    path = export(exported("planes"), tmp_path / "theirs.onnx", 13)
    with pytest.raises(UserError, match=r"theirs\.onnx reads 94x24 images; leave out --size"):
        load_onnx(path, Stated(size=(100, 24)))
