"""How many single weights may go: as many as cost no accuracy, by what the images say.

The public checkpoint reads nearly the same without the smallest 90 % of its weights, as half of its
channels are dead; a network whose channels all live then reads nothing. So the share is measured,
without labels: a text that changes costs the probability that the network gave to it, less what it
gives to the new one.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from lprnet.compression.prune.prune import DEPTH_RATIOS, depth_aware, unstructured
from lprnet.model.lprnet import LPRNet
from lprnet.model.preprocessing import normalise
from lprnet.runtime.ctc import Floats, best_path, softmax
from lprnet.runtime.lattice import label_probability
from lprnet.runtime.texts import Labels

Prune = Callable[[LPRNet, float], LPRNet]
"""A pruned copy: 0 takes nothing away, 1 as much as is ever tried."""
Pixels = NDArray[np.uint8]

PARTS = 18
"""The shares tried are whole numbers of this part: 5 % of the weights where 1 is 90 %."""
SHIFT_PIXELS = 2
"""Each image counts three times, also shifted to either side."""
MAX_LOSS = 0.001
"""Of the accuracy. A tenth of a percent on the images that choose is less than one on others: the
default model loses 4 of 300 fresh plates where the images say 0.2 %, none where they say 0."""
BATCH = 50
UNSTRUCTURED_RATIO = 0.9
"""Of all weights, at most so many of the smallest are set to zero; channels that lose all their
weights go."""


def prune_by_loss(model: LPRNet, images: Pixels, prune: Prune) -> tuple[LPRNet, float]:
    """`model` pruned by the largest share at which it loses at most `MAX_LOSS` of its accuracy on
    `images` `(N, 24, 94, 3)` uint8 BGR, and that share, 0 to 1.

    Found by bisection, as if the loss grew with the share.
    """
    views = _views(torch.from_numpy(normalise(images)))
    before = _probabilities(model, views)
    confidence = label_probability(before, _labels(before))

    def loses(pruned: LPRNet) -> bool:
        labels = _labels(_probabilities(pruned, views))
        lost = float((confidence - label_probability(before, labels)).mean())
        return lost > MAX_LOSS

    best, most, too_many = prune(model, 0.0), 0, PARTS + 1
    part = PARTS
    with tqdm(desc="choosing how much to prune", leave=False, delay=3, disable=None) as bar:
        while most < part < too_many:
            pruned = prune(model, part / PARTS)
            if loses(pruned):
                too_many = part
            else:
                best, most = pruned, part
            part = (most + too_many) // 2
            bar.update()
    return best, most / PARTS


def _views(images: Tensor) -> Tensor:
    right = F.pad(images, (SHIFT_PIXELS, 0, 0, 0), mode="replicate")[..., :-SHIFT_PIXELS]
    left = F.pad(images, (0, SHIFT_PIXELS, 0, 0), mode="replicate")[..., SHIFT_PIXELS:]
    return torch.cat([images, right, left])


@torch.inference_mode()
def _probabilities(model: LPRNet, views: Tensor) -> Floats:
    model.eval()
    return softmax(torch.cat([model(batch) for batch in torch.split(views, BATCH)]).numpy())


def _labels(probabilities: Floats) -> list[Labels]:
    return [labels for labels, _ in best_path(probabilities)]


def without_single_weights(model: LPRNet, images: Pixels, pruned: str) -> tuple[LPRNet, str]:
    """`model` without as many weights as cost no accuracy on `images`, and how many these are."""

    def by_size(model: LPRNet, share: float) -> LPRNet:
        return unstructured(model, share * UNSTRUCTURED_RATIO)

    def by_depth(model: LPRNet, share: float) -> LPRNet:
        return depth_aware(model, [share * ratio for ratio in DEPTH_RATIOS])

    if pruned == "unstructured":
        model, share = prune_by_loss(model, images, by_size)
        return model, f"the smallest {share * UNSTRUCTURED_RATIO:.0%} of all weights"
    model, share = prune_by_loss(model, images, by_depth)
    early, middle, late = (f"{share * ratio:.0%}" for ratio in DEPTH_RATIOS)
    return model, f"{early} of the early weights, {middle} of the middle and {late} of the late"
