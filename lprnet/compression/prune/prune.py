"""Pruning: masks on single weights, or whole channels with the rest refitted.

Masks are of the model as it was trained, by the size of its weights; the reduction
(`lprnet/compression/reduced.py`) then drops the channels that they empty. Whole channels are taken
out of the reduced network. No function reads a label.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lprnet.compression.compact import CompactNetwork
from lprnet.compression.prune.reconstruction import Reconstruction
from lprnet.model.architecture import CONTAINER
from lprnet.model.conv_graph import check_finite, weight_and_bias
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import BACKBONE_NAMES, LPRNET_CHINA
from lprnet.support.errors import UserError

DEPTH_RATIOS = (0.2, 0.9, 0.9)
DEPTHS: tuple[tuple[str, ...], ...] = (
    BACKBONE_NAMES[:5],
    BACKBONE_NAMES[5:13],
    (*BACKBONE_NAMES[13:], CONTAINER),
)
"""Early: up to block 1; middle: blocks 2 and 3; late: the two wide convolutions and the container.
"""


def unstructured(model: LPRNet, ratio: float) -> LPRNet:
    """A copy with the smallest `ratio` of all convolution weights set to zero (global L1).

    Biases and batch norms stay. 0 changes nothing; 1 leaves a network whose answer is the same for
    every image. Raises `UserError` for a ratio outside 0 to 1 and for a model that holds NaN.
    """
    return _masked(model, [((*BACKBONE_NAMES, CONTAINER), ratio)])


def depth_aware(model: LPRNet, ratios: Sequence[float] = DEPTH_RATIOS) -> LPRNet:
    """A copy pruned little in the early layers and much in the late ones.

    One ratio for each group of `DEPTHS`, global L1 within the group. Raises as `unstructured`.
    """
    if len(ratios) != len(DEPTHS):
        raise UserError(f"depth-aware pruning takes {len(DEPTHS)} ratios, not {len(ratios)}")
    return _masked(model, list(zip(DEPTHS, ratios, strict=True)))


@torch.no_grad()
def _masked(model: LPRNet, groups: Sequence[tuple[Sequence[str], float]]) -> LPRNet:
    check_finite(model)
    pruned = copy.deepcopy(model)
    for names, ratio in groups:
        if not 0 <= ratio <= 1:
            raise UserError(f"a pruning ratio must lie between 0 and 1, not {ratio}")
        weights = [weight_and_bias(pruned, name)[0] for name in names]
        magnitudes = torch.cat([weight.abs().flatten() for weight in weights])
        smallest = magnitudes.argsort(stable=True)[: round(ratio * len(magnitudes))]
        kept = torch.ones(len(magnitudes), dtype=torch.bool)
        kept[smallest] = False
        for weight, mask in zip(
            weights, torch.split(kept, [weight.numel() for weight in weights]), strict=True
        ):
            weight *= mask.reshape(weight.shape)
    return pruned


def structured(
    network: CompactNetwork, images: Tensor, widths: Mapping[str, int]
) -> CompactNetwork:
    """`network` with at most `widths[name]` output channels of each convolution in `widths`.

    From the first layer to the last, the channels go that their consumers miss least, and the
    consumers are refitted (`reconstruction.py`). `images` `(N, 3, 24, 94)` need no labels.

    Raises `UserError` for an unknown convolution and a width below 1.
    """
    names = [conv.name for conv in network.architecture.backbone]
    for name, width in widths.items():
        if name not in names:
            raise UserError(f"{name} cannot be pruned; only {', '.join(names)} can")
        if width < 1:
            raise UserError(f"{name} must keep at least one channel, not {width}")
    return Reconstruction(network, images).prune(widths)


def inner_widths(first: int, second: int, third: int) -> dict[str, int]:
    """`structured`'s widths for the same inner width throughout each of the three blocks."""
    backbone = LPRNET_CHINA.backbone
    inner = [conv.name for conv in backbone if ".block." in conv.name and conv.norm is None]
    return dict(zip(inner, [first] * 3 + [second] * 3 + [third] * 3, strict=True))
