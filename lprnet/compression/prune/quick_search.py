"""Widths of any network in some seconds of CPU time for each ten million multiply-accumulates: what
a build takes where nobody has searched for more.

As `width_search.py`, with less computed: each layer is tried at three widths, which share one
elimination; what a narrower layer changes is measured on a few images, with its readers refitted
alone (sensitivity layer by layer, as in Li et al., "Pruning Filters for Efficient ConvNets",
arXiv:1608.08710, section 3.2, with the readers refitted), computed from the first layer that it
changes (`reconstruction.py`).
"""

from torch import Tensor
from tqdm import tqdm

from lprnet.compiler.complexity import count_macs
from lprnet.compression.compact import CompactNetwork
from lprnet.compression.prune.reconstruction import errors_alone
from lprnet.compression.prune.width_search import (
    LANES,
    Candidate,
    refuse_unreachable,
    within,
)
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
    refuse_unreachable(reduced.compact, _options(reduced.compact), target)
    return within(reduced, images, quick_sensitivity(reduced.compact, images), target, lanes)


def quick_sensitivity(network: CompactNetwork, images: Tensor) -> list[Candidate]:
    """Every layer of `network` alone at each of `PARTS` of its channels, in multiples of `STEP`."""
    widths = _options(network)
    errors = errors_alone(network, images[:IMAGES], widths)
    total = sum(map(len, widths.values()))
    progress = tqdm(errors, total=total, desc="searching widths", leave=False, disable=None)
    return [Candidate(*one) for one in progress]


def _options(network: CompactNetwork) -> dict[str, list[int]]:
    """The widths of each convolution that are tried."""
    counts = {conv.name: len(network.biases[conv.name]) for conv in network.architecture.backbone}
    return {
        name: sorted({max(round(part * count / STEP), 1) * STEP for part in PARTS} - {count})
        for name, count in counts.items()
        if count > STEP
    }
