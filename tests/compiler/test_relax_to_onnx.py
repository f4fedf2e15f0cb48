"""The reduced graph means in ONNX what it means in Relax, for ONNX Runtime and for torch."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import tvm
from tvm.relax.op import nn

from lprnet.compiler.onnx_file import reduced_to_onnx
from lprnet.reports.benchmark.onnx_in_torch import OnnxModule
from relay_passes.pipeline import reduce_graph
from tests.relax_networks import Damage, miniature, module
from tests.relax_reference import evaluate

DAMAGES = [Damage(), Damage(norm=0.5, inner=0.3, inner_bias=0.2, unread=0.3)]


def reduced(damage: Damage) -> tvm.IRModule:
    return reduce_graph(miniature(np.random.default_rng(5), damage, [0.5, 0.7, 0.9, 1.1]))


def images(batch: int) -> torch.Tensor:
    return torch.randn(batch, 3, 24, 94, generator=torch.Generator().manual_seed(6))


def expected(graph: tvm.IRModule, x: torch.Tensor) -> np.ndarray:
    """One image at a time, as the Relax graph has batch 1."""
    return torch.cat([evaluate(graph, image[None]) for image in x]).numpy()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("batch", [1, 3])
def test_onnxruntime_computes_the_same(damage: Damage, batch: int, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="the extra `peers` is not installed")
    graph, x = reduced(damage), images(batch)
    reduced_to_onnx(graph, tmp_path / "m.onnx")
    session = runtime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": x.numpy()})
    np.testing.assert_allclose(found, expected(graph, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("damage", DAMAGES)
def test_torch_computes_the_same(damage: Damage, tmp_path: Path) -> None:
    graph, x = reduced(damage), images(2)
    reduced_to_onnx(graph, tmp_path / "m.onnx")
    with torch.inference_mode():
        found = OnnxModule(tmp_path / "m.onnx")(x).numpy()
    np.testing.assert_allclose(found, expected(graph, x), rtol=1e-4, atol=1e-4)


def test_a_bias_is_part_of_its_convolution(tmp_path: Path) -> None:
    reduced_to_onnx(reduced(Damage()), tmp_path / "m.onnx")
    nodes = onnx.load(tmp_path / "m.onnx").graph.node
    assert all(len(node.input) == 3 for node in nodes if node.op_type == "Conv")
    assert not [node for node in nodes if node.op_type == "Add"]


def test_another_operator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no nn\.gelu"):
        reduced_to_onnx(module(lambda x: nn.gelu(x), (1, 3, 4, 4)), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
