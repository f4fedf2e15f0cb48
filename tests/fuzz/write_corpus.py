"""Writes the checkpoints that mutants are made from: `python -m tests.fuzz.write_corpus`."""

import onnx
import torch

from lprnet.model.checkpoint import save_model
from lprnet.model.lprnet import LPRNet
from lprnet.model.onnx_export import to_onnx
from lprnet.model.published_lprnet import lprnet
from lprnet.runtime.alphabet import Alphabet
from tests.fuzz.checkpoints import CORPUS

DIGITS = Alphabet("digits", (*"0123456789", "-"), 10)


def main() -> None:
    torch.manual_seed(0)
    model = LPRNet(lprnet(DIGITS, widths=(8, 16, 16, 16, 16))).eval()
    CORPUS.mkdir(exist_ok=True)
    save_model(model, CORPUS / "narrow.safetensors")
    torch.save(model.state_dict(), CORPUS / "narrow.pth")
    to_onnx(model, CORPUS / "narrow.onnx")
    exported = onnx.load(CORPUS / "narrow.onnx")
    for node in exported.graph.node:
        del node.metadata_props[:]  # where torch's code lies on this machine
    onnx.save(exported, CORPUS / "narrow.onnx")


if __name__ == "__main__":
    main()
