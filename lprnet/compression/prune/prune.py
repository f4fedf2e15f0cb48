"""Pruning: masks on single weights, or whole channels with the rest refitted.

Every function returns an LPRNet in LPRNet's own shapes, where what is pruned is zero; folding
(`lprnet/compression/fold_constants.py`) or the compiler's dead-channel pass then makes it small. No
function reads a label.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lprnet.compression.compact import compact, expand
from lprnet.compression.fold_constants import fold
from lprnet.compression.prune.distillation import distill
from lprnet.compression.prune.reconstruction import reconstruct
from lprnet.model.conv_graph import CONTAINER, LAYERS, NAMES, check_finite, weight_and_bias
from lprnet.model.lprnet import LPRNet
from lprnet.support.errors import UserError

DEPTH_RATIOS = (0.2, 0.9, 0.9)
DEPTHS: tuple[tuple[str, ...], ...] = (NAMES[:5], NAMES[5:13], (*NAMES[13:], CONTAINER))
"""Early: up to block 1; middle: blocks 2 and 3; late: the two wide convolutions and the container.
"""


def unstructured(model: LPRNet, ratio: float) -> LPRNet:
    """A copy with the smallest `ratio` of all convolution weights set to zero (global L1).

    Biases and batch norms stay. 0 changes nothing; 1 leaves a network whose answer is the same for
    every image. Raises `UserError` for a ratio outside 0 to 1 and for a model that holds NaN.
    """
    return _masked(model, [((*NAMES, CONTAINER), ratio)])


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


@torch.no_grad()
def structured(model: LPRNet, images: Tensor, widths: Mapping[str, int]) -> LPRNet:
    """A folded copy that keeps `widths[name]` output channels of each convolution in `widths`.

    From the first layer to the last, the channels go that their readers miss least, and the readers
    are refitted (`reconstruction.py`). `images` `(N, 3, 24, 94)` need no labels.

    Raises `UserError` for an unknown convolution, a width below 1, and as `fold`.
    """
    for name, width in widths.items():
        if name not in NAMES:
            raise UserError(f"{name} cannot be pruned; only {', '.join(NAMES)} can")
        if width < 1:
            raise UserError(f"{name} must keep at least one channel, not {width}")
    folded = fold(model)
    return fold(expand(reconstruct(compact(folded), images, widths), folded))


def inner_widths(first: int, second: int, third: int) -> dict[str, int]:
    """`structured`'s widths for the same inner width throughout each of the three blocks."""
    inner = [layer.name for layer in LAYERS if ".block." in layer.name and layer.norm is None]
    return dict(zip(inner, [first] * 3 + [second] * 3 + [third] * 3, strict=True))


def refine(pruned: LPRNet, model: LPRNet, images: Tensor, steps: int) -> LPRNet:
    """`pruned`, folded and fine-tuned for `steps` towards the logits of `model`.

    What is zero stays zero. `images` `(N, 3, 24, 94)` need no labels (`distillation.py`). Raises as
    `fold`.
    """
    folded = fold(pruned)
    student, teacher = compact(folded), compact(fold(model))
    masks = {name: (weight != 0).float() for name, weight in student.weights.items()}
    return expand(distill(student, teacher, images, steps, masks=masks), folded)
