"""Torch to Relax, the single crossing into the compiler.

The model goes over as it is, weights bound as constants and in inference mode. Whether the context
norm is per image or by calibrated constants is the model's own `context_means`.
"""

import torch
import tvm
from torch import fx
from tvm import relax
from tvm.relax.frontend.torch import from_exported_program
from tvm.relax.frontend.torch.base_fx_graph_translator import BaseFXGraphImporter

from lprnet.model.lprnet import LPRNet, inference


def to_relax(model: LPRNet) -> tvm.IRModule:
    """The model as one Relax function `main(x: (1, 3, 24, 94)) -> (1, 68, 18)`, float32, NCHW.

    Torch's operators go over as they are. Its decomposition into smaller ones would trace the
    network a second time, which takes twice as long as all the rest.
    `relay_passes.CanonicalizeExport` cleans up what TVM adds.
    """
    with inference(model):
        exported = torch.export.export(model, (torch.zeros(1, *model.architecture.image_shape),))
        return from_exported_program(
            exported,
            unwrap_unit_return_tuple=True,
            custom_convert_map={
                "batch_norm.default": _batch_norm,
                "repeat_interleave.self_int": _repeat,
            },
            run_ep_decomposition=False,
        )


def _repeat(node: fx.Node, importer: BaseFXGraphImporter) -> relax.Var:
    """Each row several times, which TVM's own conversion has not, in version 0.27."""
    x, times = importer.env[node.args[0]], node.args[1]
    axis = node.args[2] if len(node.args) > 2 else node.kwargs["dim"]
    return importer.block_builder.emit(relax.op.repeat(x, times, axis))


def _batch_norm(node: fx.Node, importer: BaseFXGraphImporter) -> relax.Var:
    """Torch's batch norm in inference; TVM's own conversion of it, in version 0.27, takes momentum
    for epsilon.
    """
    x, *parameters = (importer.env[argument] for argument in node.args[:5])
    _training, _momentum, epsilon, _cudnn = node.args[5:]
    norm = relax.op.nn.batch_norm(x, *parameters, axis=1, epsilon=epsilon, training=False)
    return importer.block_builder.emit(relax.TupleGetItem(norm, 0))
