"""Widths of any network in about a minute: what a build takes where nobody has searched for more.

As `width_search.py`, but each layer is tried at three widths, and what a narrower layer changes is
measured with its readers refitted alone.
"""

import torch
from torch import Tensor
from tqdm import tqdm

from lprnet.compiler.complexity import count_macs
from lprnet.compression.compact import CompactNetwork
from lprnet.compression.prune.reconstruction import cut_alone
from lprnet.compression.prune.width_search import LANES, Candidate, within
from lprnet.compression.reduced import ReducedNetwork

IMAGES = 16
"""Errors rank candidates, nothing more."""
PARTS = (0.25, 0.5, 0.75)
STEP = 8
"""Channels of an AVX2 vector."""
SHARE = 0.42
"""Of the unpruned network's multiply-accumulates: what the published network keeps, 28 of 67
million."""


def quick_search(
    reduced: ReducedNetwork, images: Tensor, arithmetic: str, macs: int | None = None
) -> tuple[dict[str, int], ReducedNetwork]:
    """The channels that stay, by convolution, and `reduced` pruned to them: at most `macs`
    multiply-accumulates an image, `SHARE` of them where None.

    `images` `(N, C, H, W)` need no labels. In `float32` whole vectors are counted, which take the
    time; in `int8` they made nothing faster. Raises `UserError` where no widths are narrow enough.
    """
    target = int(SHARE * count_macs(reduced.module)) if macs is None else macs
    lanes = LANES if arithmetic == "float32" else 1
    return within(reduced, images, quick_sensitivity(reduced.compact, images), target, lanes)


def quick_sensitivity(network: CompactNetwork, images: Tensor) -> list[Candidate]:
    """Every layer of `network` alone at each of `PARTS` of its channels, in multiples of `STEP`."""
    images = images[:IMAGES]
    candidates = []
    with torch.no_grad():
        target = network.logits(images)
        for conv in tqdm(
            network.architecture.backbone, desc="searching widths", leave=False, disable=None
        ):
            count = len(network.biases[conv.name])
            widths = sorted({max(round(part * count / STEP), 1) * STEP for part in PARTS})
            widths = [width for width in widths if width < count]
            if not widths:
                continue
            for width, cut in zip(widths, cut_alone(network, images, conv, widths), strict=True):
                error = float((cut.logits(images) - target).square().mean())
                candidates.append(Candidate(conv.name, width, error))
    return candidates
