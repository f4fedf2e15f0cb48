"""The forms of LPRNet in ONNX, quantized by ONNX Runtime: the same integers, or one sentence."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from lprnet.build import Request, build
from lprnet.compression.compiler_inputs import imported_network
from lprnet.model.checkpoint import Stated
from lprnet.model.quantized import QuantizedLPRNet
from lprnet.onnx_import.load import load_onnx
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from lprnet.synthetic.render import sample_plates
from tests.onnx_import.exports import export, exported

pytest.importorskip("onnxruntime", reason="the extra `peers` is not installed")

from tests.onnx_import.onnxruntime_qdq import (  # noqa: E402
    OPERATORS,
    assert_alike,
    onnxruntime_logits,
    quantize_static,
)

pytestmark = pytest.mark.usefixtures("few_calibration_images")

VIEWS = ["Transpose", "Unsqueeze", "Squeeze", "Reshape"]


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.stack([image for image, _ in sample_plates(6)])


@pytest.mark.parametrize("operators", [OPERATORS, [*OPERATORS, *VIEWS]], ids=["few", "views"])
@pytest.mark.parametrize("form", ["planes", "unsqueezed", "viewed"])
def test_integers_are_those_of_the_file(
    form: str, operators: list[str], images: NDArray[np.uint8], tmp_path: Path
) -> None:
    """With QuantizeLinear and DequantizeLinear around the views as well."""
    path = export(exported(form), tmp_path / "float.onnx", 13)
    theirs = quantize_static(path, images[:3], op_types_to_quantize=operators)
    imported = load_onnx(theirs)
    assert isinstance(imported, QuantizedLPRNet)
    assert_alike(imported_network(imported).expected(images), onnxruntime_logits(theirs, images))


def test_an_artifact_of_the_newer_exporters_file(
    newer_files: dict[str, Path], images: NDArray[np.uint8], tmp_path: Path
) -> None:
    (tmp_path / "float.onnx").write_bytes(newer_files["plain"].read_bytes())
    theirs = quantize_static(tmp_path / "float.onnx", images[:3])
    built, _ = build(Request(theirs, None, None, "native", "manual", None, tmp_path))
    assert_alike(Recognizer(built.artifact).logits(images), onnxruntime_logits(theirs, images))


def test_batch_norms_between_integers_are_refused(
    images: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = export(exported("planes"), tmp_path / "float.onnx", 13, do_constant_folding=False)
    theirs = quantize_static(path, images[:2])
    with pytest.raises(
        UserError, match=r"theirs\.onnx: the BatchNormalization .*before quantizing"
    ):
        load_onnx(theirs)


@pytest.mark.parametrize(
    "said", [{"order": "rgb"}, {"offset": [0]}, {"scale": [1 / 127.5]}], ids=lambda said: min(said)
)
def test_integers_of_other_pixels_are_refused(
    said: dict[str, object], images: NDArray[np.uint8], tmp_path: Path
) -> None:
    """Nothing can be folded into them."""
    path = export(exported("planes"), tmp_path / "float.onnx", 13)
    theirs = quantize_static(path, images[:2])
    (tmp_path / "a.json").write_text(json.dumps({"preprocessing": said}))
    stated = Stated(architecture=tmp_path / "a.json")
    with pytest.raises(UserError, match=r"theirs\.onnx is quantized, .* \(p - 127\.5\) / 128, or"):
        load_onnx(theirs, stated)


def test_a_file_of_nncf_is_refused_by_its_name(images: NDArray[np.uint8], tmp_path: Path) -> None:
    """Recognised by the names that NNCF gives its nodes."""
    path = export(exported("planes"), tmp_path / "float.onnx", 13)
    theirs = quantize_static(path, images[:2])
    model = onnx.load(str(theirs))
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            node.name = f"QuantizeLinear_{node.input[0]}_1"
    theirs.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match=r"theirs\.onnx was quantized by NNCF, .*quantize_static"):
        load_onnx(theirs)
