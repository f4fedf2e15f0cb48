"""Torch to Relax, the single crossing into the compiler, and ONNX beside it.

Both write the model as it is, weights bound as constants and in inference mode. Whether the
context norm is per image or by calibrated constants is the model's own `context_means`.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import tvm
from tvm.relax.frontend.torch import from_exported_program

from lprnet.model.lprnet import HEIGHT, WIDTH, LPRNet
from lprnet.support.atomic_file import replacing


def to_relax(model: LPRNet) -> tvm.IRModule:
    """The model as one Relax function `main(x: (1, 3, 24, 94)) -> (1, 68, 18)`, float32, NCHW.

    Torch's operator decomposition is what TVM reads correctly: without it, version 0.27 takes
    batch norm's momentum for its epsilon. `relay_passes.CanonicalizeExport` cleans up after it.
    """
    with _inference(model), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg")
        exported = torch.export.export(model, (torch.zeros(1, 3, HEIGHT, WIDTH),))
        return from_exported_program(exported, unwrap_unit_return_tuple=True)


def to_onnx(model: LPRNet, path: Path, batch: int | None = 1) -> None:
    """Write the model as ONNX: input `images` `(batch, 3, 24, 94)`, output `logits`.

    `batch=None` leaves the batch dynamic. Raises `UserError` if `path` cannot be written; nothing
    is left behind then.
    """
    dynamic = {"x": {0: torch.export.Dim("batch")}} if batch is None else None
    with replacing(path) as partial, _inference(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(batch or 2, 3, HEIGHT, WIDTH),),
            partial,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=dynamic,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


@contextmanager
def _inference(model: LPRNet) -> Iterator[None]:
    """Inference mode inside, the model's own mode again after."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
