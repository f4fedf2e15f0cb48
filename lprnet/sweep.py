"""How narrow each layer may be: what every cut costs alone, and the cheapest cuts for a budget."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from lprnet.compact import compact
from lprnet.errors import UserError
from lprnet.fold import fold, living_channels, macs
from lprnet.model import LPRNet
from lprnet.prune import structured
from lprnet.topology import NAMES

PRICING_IMAGES = 32
"""Prices rank cuts; a third of the calibration images ranks them like all of them."""


@dataclass(frozen=True)
class Cut:
    """One layer alone narrowed to `width` channels, everything behind refitted."""

    name: str
    width: int
    saved: int
    """Multiply-accumulates per image."""
    error: float
    """Mean squared difference of the logits."""


@dataclass(frozen=True)
class Point:
    """A pruned network of a sweep."""

    widths: Mapping[str, int]
    macs: int
    accuracy: float
    model: LPRNet


def price_cuts(model: LPRNet, images: Tensor, step: int = 8) -> list[Cut]:
    """Every layer of `model` alone at every narrower multiple of `step` channels.

    Multiples of 8 or 16 fill the vectors of AVX2 or AVX-512. `images` `(N, 3, 24, 94)` need no
    labels. Raises as `prune.structured`.
    """
    folded, images = fold(model), images[:PRICING_IMAGES]
    widths = {name: len(alive) for name, alive in living_channels(folded).items()}
    options = [(name, w) for name in NAMES for w in range(step, widths[name], step)]
    with torch.no_grad():
        wanted, whole = compact(folded).logits(images), macs(folded)
        cuts = []
        for name, width in tqdm(options, desc="pricing cuts", leave=False):
            pruned = structured(folded, images, {name: width})
            error = float((compact(pruned).logits(images) - wanted).square().mean())
            cuts.append(Cut(name, width, whole - macs(pruned), error))
    return cuts


def cheapest_widths(cuts: Iterable[Cut], saving: int) -> dict[str, int]:
    """Widths that save at least `saving` multiply-accumulates, as if prices added up.

    Again and again the step down that costs least per multiply-accumulate, among all layers and all
    their narrower widths. Raises `UserError` if all cuts together do not save enough.
    """
    cuts, chosen = list(cuts), dict[str, Cut]()
    while sum(cut.saved for cut in chosen.values()) < saving:
        best: tuple[float, Cut] | None = None
        for cut in cuts:
            now = chosen.get(cut.name, Cut(cut.name, cut.width + 1, 0, 0.0))
            if cut.width < now.width and cut.saved > now.saved:
                price = max(cut.error - now.error, 0.0) / (cut.saved - now.saved)
                if best is None or price < best[0]:
                    best = (price, cut)
        if best is None:
            raise UserError(
                f"no cuts save {saving / 1e6:.1f} million multiply-accumulates; ask for fewer"
            )
        chosen[best[1].name] = best[1]
    return {name: cut.width for name, cut in chosen.items()}


def sweep(
    model: LPRNet,
    images: Tensor,
    cuts: Iterable[Cut],
    targets: Iterable[int],
    evaluate: Callable[[LPRNet], float],
) -> list[Point]:
    """`model` pruned to each of `targets` multiply-accumulates, and what `evaluate` says of it.

    `cuts` are `price_cuts`' of the same model; `images` `(N, 3, 24, 94)` need no labels. Raises as
    `prune.structured` and `cheapest_widths`.
    """
    folded = fold(model)
    points = []
    priced = list(cuts)
    for target in tqdm(list(targets), desc="sweeping", leave=False):
        widths = cheapest_widths(priced, macs(folded) - target)
        pruned = structured(folded, images, widths)
        points.append(Point(widths, macs(pruned), evaluate(pruned), pruned))
    return points


def smallest_within(points: Iterable[Point], accuracy: float) -> Point:
    """The point of least work that reads at least `accuracy`.

    Raises `UserError` if there is none.
    """
    good = [point for point in points if point.accuracy >= accuracy]
    if not good:
        raise UserError(f"no pruned network of the sweep reaches an accuracy of {accuracy}")
    return min(good, key=lambda point: point.macs)
