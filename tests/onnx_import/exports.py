"""Small LPRNets as others export them to ONNX: the forms of their pools, exporters and options.

`ThirdPartyLPRNet`'s layers with random weights; every file is written here, by torch.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.third_party_lprnet import STOCK_POOLS, Pools, ThirdPartyLPRNet, seeded

WIDTHS = (8, 16, 16, 16, 16)
SHAPE = (3, 24, 94)


class PlanePool(nn.Module):
    """`MaxPool3d((1, 3, 3), (c, 1, w))` for processors without 3-D pools: rows and columns first,
    then windows of one over the channels in the place of columns.
    """

    def __init__(self, channel_step: int, column_stride: int) -> None:
        super().__init__()
        self.plane = nn.MaxPool2d(3, (1, column_stride))
        self.channels = nn.MaxPool2d(1, (1, channel_step))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.channels(self.plane(x).transpose(1, 3)).transpose(1, 3)
        return out


class ExportedLPRNet(ThirdPartyLPRNet):
    """`pools`: `plain` is `MaxPool3d` on four dimensions, as the public repository has it, `planes`
    is `PlanePool`, `unsqueezed` and `viewed` give the 3-D pool a channel of one. `frozen`: the
    contexts' norms are numbers that a trace takes from its image.
    """

    def __init__(
        self,
        form: str,
        classes: int = 68,
        frozen: bool = False,
        transposed: bool = False,
        pools: Pools = STOCK_POOLS,
    ) -> None:
        super().__init__(classes, WIDTHS, pools=pools)
        self.form, self.frozen, self.transposed = form, frozen, transposed
        if form == "planes":
            for index, (step, stride) in {3: (1, 1), 7: (2, 2), 14: (4, 2)}.items():
                self.backbone[index] = PlanePool(step, stride)

    def _layer(self, layer: nn.Module, x: Tensor) -> Tensor:
        out: Tensor
        if not isinstance(layer, nn.MaxPool3d) or self.form == "plain":
            out = layer(x)
        elif self.form == "unsqueezed":
            out = layer(x.unsqueeze(1)).squeeze(1)
        else:
            n, c, h, w = (int(extent) for extent in x.shape)
            out = layer(x.view(n, 1, c, h, w))
            out = out.view(n, *(int(extent) for extent in out.shape[2:]))
        return out

    def forward(self, x: Tensor) -> Tensor:
        """`(1, 3, 24, 94)` to `(1, classes, 18)`, or `(1, 18, classes)`."""
        contexts: list[Tensor] = []
        for index, layer in enumerate(self.backbone):
            x = self._layer(layer, x)
            if index in (2, 6, 13, 22):
                number = len(contexts)
                context = self.pools[number](x) if number < 3 else x
                mean = torch.mean(torch.pow(context, 2))
                contexts.append(torch.div(context, mean.item() if self.frozen else mean))
        logits = torch.mean(self.container(torch.cat(contexts, 1)), dim=2)
        return logits.permute(0, 2, 1) if self.transposed else logits


def exported(form: str, **options: Any) -> ExportedLPRNet:
    """With random weights, in evaluation mode."""
    model = seeded(ExportedLPRNet(form, **options))
    assert isinstance(model, ExportedLPRNet)
    return model


def sample(batch: int = 1, width: int = SHAPE[2]) -> Tensor:
    """The images that an export traces, `(batch, 3, 24, width)`."""
    return torch.randn(batch, *SHAPE[:2], width, generator=torch.Generator().manual_seed(3))


def export(model: nn.Module, path: Path, opset: int, batch: int | None = 1, **options: Any) -> Path:
    """`path`, written by torch's TorchScript exporter, or by the newer one with `dynamo=True`.
    `batch=None` leaves the batch open; `width` is that of the images, 94 by default.
    """
    dynamo, width = options.pop("dynamo", False), options.pop("width", SHAPE[2])
    if dynamo:
        options["external_data"] = False
    if batch is None and dynamo:
        options["dynamic_shapes"] = {"x": {0: torch.export.Dim("batch")}}
    elif batch is None:
        options["dynamic_axes"] = {"images": {0: "batch"}, "logits": {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (sample(batch or 2, width),),
            str(path),
            input_names=["images"],
            output_names=["logits"],
            opset_version=opset,
            dynamo=dynamo,
            verbose=False,
            **options,
        )
    return path


def logits_of(model: nn.Module, images: Tensor) -> NDArray[np.float32]:
    """One image at a time, for the norm of the contexts is over all that it is given."""
    with torch.inference_mode():
        logits: NDArray[np.float32] = torch.cat([model(one[None]) for one in images]).numpy()
    return logits
