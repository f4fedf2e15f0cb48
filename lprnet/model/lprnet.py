"""LPRNet's architecture in PyTorch, state-dict compatible with the public checkpoint.

Zherzdev and Gruzdev, "LPRNet: License Plate Recognition via Deep Neural Networks",
arXiv:1806.10447, table 2, in the form of the public `LPRNet_Pytorch` checkpoint (446,976 learnt
parameters). Input `(N, 3, 24, 94)` float32, BGR, `(x - 127.5) / 128`; output `(N, 68, 18)` float32
logits, one column per horizontal position, the last class being the CTC blank.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lprnet.runtime.alphabet import CLASSES

HEIGHT, WIDTH, POSITIONS = 24, 94, 18

CONTEXT_LAYERS = (2, 6, 13, 22)
"""Backbone indices (all ReLUs) whose outputs are pooled, normalised and concatenated."""

CONTEXT_POOLS: tuple[tuple[tuple[int, int], tuple[int, int]] | None, ...] = (
    ((5, 5), (5, 5)),
    ((5, 5), (5, 5)),
    ((4, 10), (4, 2)),
    None,
)
"""Average pool (kernel, stride) that brings each context layer to 4x18."""


class SmallBasicBlock(nn.Module):
    """1x1 reduce, 3x1, 1x3, 1x1 expand; the inner width is a quarter of the output's (table 1)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        inner = channels_out // 4
        self.block = nn.Sequential(
            nn.Conv2d(channels_in, inner, kernel_size=1),
            nn.ReLU(),
            nn.Conv2d(inner, inner, kernel_size=(3, 1), padding=(1, 0)),
            nn.ReLU(),
            nn.Conv2d(inner, inner, kernel_size=(1, 3), padding=(0, 1)),
            nn.ReLU(),
            nn.Conv2d(inner, channels_out, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`(N, channels_in, H, W)` to `(N, channels_out, H, W)`."""
        out: Tensor = self.block(x)
        return out


class ChannelStridedMaxPool(nn.Module):
    """`MaxPool3d((1, 3, 3), stride=(c, 1, w))` on NCHW: every c-th channel, then a 3x3 max pool.

    Written in two steps because torch refuses the 3-D form on a 4-D tensor at batch 1.
    """

    def __init__(self, channel_stride: int, width_stride: int) -> None:
        super().__init__()
        self.channel_stride = channel_stride
        self.width_stride = width_stride

    def forward(self, x: Tensor) -> Tensor:
        """`(N, C, H, W)` to `(N, ceil(C / c), H - 2, (W - 3) // w + 1)`."""
        return F.max_pool2d(x[:, :: self.channel_stride], 3, (1, self.width_stride))


class LPRNet(nn.Module):
    """The network. `context_means` chooses how the global context is normalised.

    The published network divides each context feature map by the mean of its squares. `None` takes
    that mean over each image (so no image depends on its neighbours in the batch); four positive
    floats, from `calibrate_context_means`, replace it with constants.
    """

    def __init__(self, dropout: float = 0.5, context_means: Sequence[float] | None = None) -> None:
        super().__init__()
        self.context_means = None if context_means is None else tuple(context_means)
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=3),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            ChannelStridedMaxPool(1, 1),
            SmallBasicBlock(64, 128),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            ChannelStridedMaxPool(2, 2),
            SmallBasicBlock(64, 256),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            SmallBasicBlock(256, 256),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            ChannelStridedMaxPool(4, 2),
            nn.Dropout(dropout),
            nn.Conv2d(64, 256, kernel_size=(1, 4)),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(256, CLASSES, kernel_size=(13, 1)),
            nn.BatchNorm2d(CLASSES),
            nn.ReLU(),
        )
        self.container = nn.Sequential(nn.Conv2d(448 + CLASSES, CLASSES, kernel_size=1))

    def contexts(self, x: Tensor) -> list[Tensor]:
        """The four pooled, not yet normalised context maps, each `(N, C_i, 4, 18)`."""
        pooled: list[Tensor] = []
        for index, layer in enumerate(self.backbone):
            x = layer(x)
            if index in CONTEXT_LAYERS:
                pool = CONTEXT_POOLS[len(pooled)]
                pooled.append(x if pool is None else F.avg_pool2d(x, *pool))
        return pooled

    def forward(self, x: Tensor) -> Tensor:
        """`(N, 3, 24, 94)` to logits `(N, 68, 18)`."""
        normalised = []
        for index, context in enumerate(self.contexts(x)):
            if self.context_means is None:
                normalised.append(context / context.square().mean(dim=(1, 2, 3), keepdim=True))
            else:
                normalised.append(context / self.context_means[index])
        logits: Tensor = self.container(torch.cat(normalised, dim=1)).mean(dim=2)
        return logits


@torch.no_grad()
def calibrate_context_means(model: LPRNet, images: Tensor) -> tuple[float, ...]:
    """The mean square of each context map over `images` `(N, 3, 24, 94)`, four floats."""
    model.eval()
    return tuple(float(context.square().mean()) for context in model.contexts(images))
