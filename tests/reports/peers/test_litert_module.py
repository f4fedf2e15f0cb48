"""LiteRT's converter takes a PyTorch module: it computes what the ONNX file was exported from."""

import importlib
from pathlib import Path

import pytest
import torch

from lprnet.compiler.onnx_file import reduced_to_onnx
from lprnet.compression.reduced import reduce
from lprnet.model.lprnet import LPRNet, calibrate_context_means
from lprnet.model.onnx_export import to_onnx
from lprnet.reports.peers.remote_engine import WORKER


@pytest.mark.parametrize("reduced", [False, True])
def test_the_module_of_a_graph(
    reduced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(WORKER.parent))
    litert = importlib.import_module("engines.litert")
    torch.manual_seed(3)
    model = LPRNet().eval()
    file = tmp_path / "network.onnx"
    images = torch.randn(1, 3, 24, 94)
    if reduced:
        model.context_means = calibrate_context_means(model, images)
        reduced_to_onnx(reduce(model).module, file)
    else:
        to_onnx(model, file, batch=None)
    with torch.no_grad():
        found, expected = litert._module(file)(images), model(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
