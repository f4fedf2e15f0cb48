"""LPRNet as public repositories write it, in plain torch: what users' checkpoints come from."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

Pools = Sequence[tuple[tuple[int, int], tuple[int, int]]]

STOCK_POOLS: Pools = (((5, 5), (5, 5)), ((5, 5), (5, 5)), ((4, 10), (4, 2)))


class Block(nn.Module):
    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        inner = channels_out // 4
        self.block = nn.Sequential(
            nn.Conv2d(channels_in, inner, 1),
            nn.ReLU(),
            nn.Conv2d(inner, inner, (3, 1), padding=(1, 0)),
            nn.ReLU(),
            nn.Conv2d(inner, inner, (1, 3), padding=(0, 1)),
            nn.ReLU(),
            nn.Conv2d(inner, channels_out, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(x)
        return out


class ThirdPartyLPRNet(nn.Module):
    """`widths`: of the first convolution, the blocks, and the convolution before the last. The norm
    of the contexts is over the whole batch, so compare images one by one.
    """

    def __init__(
        self,
        classes: int = 68,
        widths: Sequence[int] = (64, 128, 256, 256, 256),
        channels: int = 3,
        pools: Pools = STOCK_POOLS,
    ) -> None:
        super().__init__()
        first, second, third, fourth, fifth = widths
        self.pools = [nn.AvgPool2d(*pool) for pool in pools]
        self.backbone = nn.Sequential(
            nn.Conv2d(channels, first, 3),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.MaxPool3d((1, 3, 3), (1, 1, 1)),
            Block(first, second),
            nn.BatchNorm2d(second),
            nn.ReLU(),
            nn.MaxPool3d((1, 3, 3), (2, 1, 2)),
            Block(second // 2, third),
            nn.BatchNorm2d(third),
            nn.ReLU(),
            Block(third, fourth),
            nn.BatchNorm2d(fourth),
            nn.ReLU(),
            nn.MaxPool3d((1, 3, 3), (4, 1, 2)),
            nn.Dropout(0.5),
            nn.Conv2d(fourth // 4, fifth, (1, 4)),
            nn.BatchNorm2d(fifth),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Conv2d(fifth, classes, (13, 1)),
            nn.BatchNorm2d(classes),
            nn.ReLU(),
        )
        inputs = first + second + fourth + classes
        self.container = nn.Sequential(nn.Conv2d(inputs, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        """`(1, C, H, W)` to `(1, classes, positions)`."""
        kept = []
        for index, layer in enumerate(self.backbone):
            # A 3-D pool of a 4-D tensor takes the batch for channels: one dimension more.
            x = layer(x[None])[0] if isinstance(layer, nn.MaxPool3d) else layer(x)
            if index in (2, 6, 13, 22):
                kept.append(x)
        contexts = []
        for index, f in enumerate(kept):
            pooled = self.pools[index](f) if index < 3 else f
            contexts.append(pooled / pooled.pow(2).mean())
        logits: Tensor = self.container(torch.cat(contexts, dim=1)).mean(dim=2)
        return logits


def seeded(model: ThirdPartyLPRNet, seed: int = 0) -> ThirdPartyLPRNet:
    """Random weights that let a signal through all layers, and random batch-norm statistics."""
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor: Tensor, deviation: float) -> None:
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * deviation)

    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d):
                normal(layer.weight, (2 / layer.weight[0].numel()) ** 0.5)
                assert layer.bias is not None
                normal(layer.bias, 0.1)
            elif isinstance(layer, nn.BatchNorm2d):
                assert layer.running_mean is not None
                assert layer.running_var is not None
                normal(layer.running_mean, 0.1)
                layer.running_var.copy_(
                    torch.rand(layer.running_var.shape, generator=generator) + 0.5
                )
                normal(layer.bias, 0.1)
    return model.eval()


def state_of(model: nn.Module) -> "OrderedDict[str, Tensor]":
    return OrderedDict(model.state_dict())
