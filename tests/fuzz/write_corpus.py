"""Writes the checkpoints that mutants are made from: `python -m tests.fuzz.write_corpus`."""

from pathlib import Path

import numpy as np
import onnx
import torch

from lprnet.model.architecture import Architecture, Context, Conv, MaxPool
from lprnet.model.architecture_json import to_json
from lprnet.model.checkpoint import save_model
from lprnet.model.checkpoint_content import METADATA
from lprnet.model.lprnet import LPRNet, calibrate_context_means
from lprnet.model.onnx_export import to_onnx
from lprnet.model.pixel_format import Preprocessing
from lprnet.model.preprocessing import normalise
from lprnet.model.published_lprnet import lprnet, resized
from lprnet.runtime.alphabet import Alphabet
from tests.fuzz.checkpoints import CORPUS
from tests.onnx_import.onnxruntime_qdq import quantize_static
from tests.random_lprnet import random_lprnet

DIGITS = Alphabet("digits", (*"0123456789", "-"), 10)


def small() -> Architecture:
    """One block and two contexts, of images of 24x40."""
    backbone = (
        Conv("backbone.0", 4, (3, 3), norm="backbone.1"),
        Conv("backbone.4.block.0", 2, (1, 1), pool=MaxPool()),
        Conv("backbone.4.block.2", 2, (3, 1), padding=(1, 0)),
        Conv("backbone.4.block.4", 2, (1, 3), padding=(0, 1)),
        Conv("backbone.4.block.6", 6, (1, 1), norm="backbone.5"),
        Conv("backbone.16", 6, (1, 4), norm="backbone.17", pool=MaxPool(2, stride=(1, 2))),
        Conv("backbone.20", DIGITS.classes, (13, 1), norm="backbone.21"),
    )
    contexts = (Context("backbone.4.block.6"), Context("backbone.20"))
    return resized(Architecture(DIGITS, 24, 40, 3, Preprocessing(), backbone, contexts), 24, 40)


def write_onnx(model: LPRNet, path: Path) -> None:
    """Without what torch says of this machine: where its code lies."""
    to_onnx(model, path)
    exported = onnx.load(path)
    for node in exported.graph.node:
        del node.metadata_props[:]
    onnx.save(exported, path)


def state(architecture: Architecture, path: Path) -> None:
    """As a build does: an ONNX file of other layers than the published network's must say so."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {METADATA: to_json(architecture)})
    onnx.save(model, path)


def main() -> None:
    torch.manual_seed(0)
    model = LPRNet(lprnet(DIGITS, widths=(8, 16, 16, 16, 16))).eval()
    CORPUS.mkdir(exist_ok=True)
    save_model(model, CORPUS / "narrow.safetensors")
    torch.save(model.state_dict(), CORPUS / "narrow.pth")
    write_onnx(model, CORPUS / "narrow.onnx")
    model = random_lprnet(small()).eval()
    images = np.random.default_rng(0).integers(0, 256, (4, 24, 40, 3), np.uint8)
    model.context_means = calibrate_context_means(model, torch.from_numpy(normalise(images)))
    write_onnx(model, CORPUS / "small.onnx")
    quantized = quantize_static(CORPUS / "small.onnx", images)
    quantized.rename(CORPUS / "small-int8.onnx")
    for name in ("small.onnx", "small-int8.onnx"):
        state(small(), CORPUS / name)


if __name__ == "__main__":
    main()
