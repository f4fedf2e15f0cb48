"""Pruning: masks on single weights, or whole channels with the rest refitted.

Every function returns an LPRNet in LPRNet's own shapes, where what is pruned is zero; folding
(`fold.py`) or the compiler's dead-channel pass then makes it small. No function reads a label.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lprnet.compact import before_relu, compact, expand
from lprnet.distill import distill
from lprnet.eliminate import keep_channels
from lprnet.errors import UserError
from lprnet.fold import fold
from lprnet.gram import as_solution, gram, ridge
from lprnet.model import LPRNet
from lprnet.topology import CONTAINER, LAYERS, NAMES, Layer, check_finite, weight_and_bias

DEPTH_RATIOS = (0.2, 0.9, 0.9)
DEPTHS: tuple[tuple[str, ...], ...] = (NAMES[:5], NAMES[5:13], (*NAMES[13:], CONTAINER))
"""Early: up to block 1; middle: blocks 2 and 3; late: the two wide convolutions and the container.
"""

PRUNABLE = tuple(layer.name for layer in LAYERS if layer.context is None)
"""The convolutions whose channels only the next convolution reads, and no context map."""


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

    From the first layer to the last: the channels that cost the next convolution least go, by exact
    least squares with refitting in between (`eliminate.py`), and that convolution is refitted, from
    what it now reads, to what it put out before (He et al., "Channel Pruning", arXiv:1707.06168,
    section 3, with another selection). `images` `(N, 3, 24, 94)` need no labels.

    Raises `UserError` for a convolution that is not in `PRUNABLE`, a width below 1, and as `fold`.
    """
    for name, width in widths.items():
        if name not in PRUNABLE:
            raise UserError(f"{name} cannot be pruned; only {', '.join(PRUNABLE)} can")
        if width < 1:
            raise UserError(f"{name} must keep at least one channel, not {width}")
    folded = fold(model)
    real = compact(folded)
    wanted = before_relu(real, images)
    small = replace(real, weights=dict(real.weights), biases=dict(real.biases))

    def refit(layer: Layer, x: Tensor) -> Tensor:
        name = layer.name
        weight = small.weights[name]
        prior = as_solution(weight, small.biases[name])
        moments = gram(weight, x, wanted[name])
        if layer.source is not None and layer.source in widths:
            kept = keep_channels(
                moments, ridge(moments, prior), weight[0, 0].numel(), widths[layer.source]
            )
            mask = torch.zeros(weight.shape[1])
            mask[kept] = 1.0
            small.weights[layer.source] = small.weights[layer.source] * mask[:, None, None, None]
            small.biases[layer.source] = small.biases[layer.source] * mask
            x = x * mask[:, None, None]
            prior = as_solution(weight * mask[:, None, None], small.biases[name])
            moments = gram(weight, x, wanted[name])
        solution = ridge(moments, prior)
        small.weights[name] = solution[:-1].T.reshape(weight.shape).float()
        small.biases[name] = solution[-1].float()
        return small.compute(layer, x)

    small.activations(images, refit)
    return fold(expand(small, folded))


def inner_widths(first: int, second: int, third: int) -> dict[str, int]:
    """`structured`'s widths for the same inner width throughout each of the three blocks."""
    inner = [layer.name for layer in LAYERS if ".block." in layer.name and layer.norm is None]
    return dict(zip(inner, [first] * 3 + [second] * 3 + [third] * 3, strict=True))


def refine(pruned: LPRNet, model: LPRNet, images: Tensor, steps: int) -> LPRNet:
    """`pruned`, folded and fine-tuned for `steps` towards the logits of `model`.

    What is zero stays zero. `images` `(N, 3, 24, 94)` need no labels (`distill.py`). Raises as
    `fold`.
    """
    folded = fold(pruned)
    student, teacher = compact(folded), compact(fold(model))
    masks = {name: (weight != 0).float() for name, weight in student.weights.items()}
    return expand(distill(student, teacher, images, steps, masks=masks), folded)
