"""Widths of any network in some seconds of CPU time for each ten million multiply-accumulates: what
a build takes where nobody has searched for more.

As `width_search.py`, with less computed: each layer is tried at three widths, which share one
elimination; what a narrower layer changes is measured on a few images, with its readers refitted
alone (sensitivity layer by layer, as in Li et al., "Pruning Filters for Efficient ConvNets",
arXiv:1608.08710, section 3.2, with the readers refitted), computed from the first layer that it
changes (`reconstruction.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from torch import Tensor
from tqdm import tqdm

from lprnet.compiler.complexity import count_macs
from lprnet.compression.compact import CompactNetwork
from lprnet.compression.prune.reconstruction import errors_alone
from lprnet.compression.prune.tile_cost import tile_cycles
from lprnet.compression.prune.width_search import (
    LANES,
    Candidate,
    planned_macs,
    refuse_unreachable,
    within,
)
from lprnet.compression.reduced import ReducedNetwork
from schedules.workloads.tile_conv import COLUMNS

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
    time, and in `bf16` tiles; in `int8` whole vectors made nothing faster, and the widths are those
    of every target. Raises `UserError` where no widths are narrow enough.
    """
    network = reduced.compact
    target = int(SHARE * count_macs(reduced.module)) if macs is None else macs
    steps = (STEP, COLUMNS) if arithmetic == "bf16" else (STEP,)
    refuse_unreachable(network, _options(network, steps), target)
    costs: dict[str, Callable[[Mapping[str, int]], float]] = {
        "float32": partial(planned_macs, network, lanes=LANES),
        "int8": partial(planned_macs, network),
        "bf16": partial(tile_cycles, network),
    }
    found = quick_sensitivity(network, images, steps)
    return within(reduced, images, found, target, costs[arithmetic])


def quick_sensitivity(
    network: CompactNetwork, images: Tensor, steps: Sequence[int] = (STEP,)
) -> list[Candidate]:
    """Every layer of `network` alone at each of `PARTS` of its channels, in multiples of each of
    `steps`.
    """
    widths = _options(network, steps)
    errors = errors_alone(network, images[:IMAGES], widths)
    total = sum(map(len, widths.values()))
    progress = tqdm(errors, total=total, desc="searching widths", leave=False, disable=None)
    return [Candidate(*one) for one in progress]


def _options(network: CompactNetwork, steps: Sequence[int]) -> dict[str, list[int]]:
    """The widths of each convolution that are tried."""
    counts = {conv.name: len(network.biases[conv.name]) for conv in network.architecture.backbone}
    options = {
        name: {max(round(part * count / step), 1) * step for part in PARTS for step in steps}
        for name, count in counts.items()
    }
    narrower = {
        name: sorted(width for width in widths if width < counts[name])
        for name, widths in options.items()
    }
    return {name: widths for name, widths in narrower.items() if widths}
