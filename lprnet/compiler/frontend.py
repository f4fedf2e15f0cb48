"""Torch to Relax, the single crossing into the compiler.

The model goes over as it is, weights bound as constants and in inference mode. Whether the context
norm is per image or by calibrated constants is the model's own `context_means`.
"""

import warnings

import torch
import tvm
from tvm.relax.frontend.torch import from_exported_program

from lprnet.model.lprnet import LPRNet, inference


def to_relax(model: LPRNet) -> tvm.IRModule:
    """The model as one Relax function `main(x: (1, 3, 24, 94)) -> (1, 68, 18)`, float32, NCHW.

    Torch's operator decomposition is what TVM reads correctly: without it, version 0.27 takes
    batch norm's momentum for its epsilon. `relay_passes.CanonicalizeExport` cleans up after it.
    """
    with inference(model), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg")
        exported = torch.export.export(model, (torch.zeros(1, *model.architecture.image_shape),))
        return from_exported_program(exported, unwrap_unit_return_tuple=True)
