"""The model as it is in ONNX, weights bound as constants and in inference mode.

Whether the context norm is per image or by calibrated constants is the model's own `context_means`.
"""

import warnings
from pathlib import Path

import torch

from lprnet.model.lprnet import LPRNet, inference
from lprnet.support.atomic_file import atomic_write


def to_onnx(model: LPRNet, path: Path, batch: int | None = 1) -> None:
    """Write the model as ONNX: input `images` `(batch, 3, 24, 94)`, output `logits`.

    `batch=None` leaves the batch dynamic. Raises `UserError` if `path` cannot be written; nothing
    is left behind then.
    """
    dynamic = {"x": {0: torch.export.Dim("batch")}} if batch is None else None
    with atomic_write(path) as partial, inference(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(batch or 2, *model.architecture.image_shape),),
            partial,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=dynamic,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
