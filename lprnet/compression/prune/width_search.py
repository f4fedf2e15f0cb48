"""How narrow each layer may be: what every cut costs alone, and the cheapest cuts for a budget."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil

import torch
from torch import Tensor
from tqdm import tqdm

from lprnet.compression.compact import compact
from lprnet.compression.fold_constants import fold, input_channels, living_channels, macs
from lprnet.compression.prune.prune import structured
from lprnet.model.conv_graph import LAYERS, NAMES, weight_and_bias
from lprnet.model.lprnet import POSITIONS, LPRNet
from lprnet.runtime.alphabet import CLASSES
from lprnet.support.errors import UserError

PRICING_IMAGES = 32
"""Prices rank cuts; a third of the calibration images ranks them like all of them."""
LANES = 16
"""Output channels of an AVX-512 vector: a kernel takes as long for 24 of them as for 32."""


@dataclass(frozen=True)
class Cut:
    """One layer alone narrowed to `width` channels, everything behind refitted."""

    name: str
    width: int
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
        wanted = compact(folded).logits(images)
        cuts = []
        for name, width in tqdm(options, desc="pricing cuts", leave=False, disable=None):
            pruned = structured(folded, images, {name: width})
            error = float((compact(pruned).logits(images) - wanted).square().mean())
            cuts.append(Cut(name, width, error))
    return cuts


def planned_macs(folded: LPRNet, widths: Mapping[str, int], lanes: int = 1) -> float:
    """Multiply-accumulates that `folded` would have with `widths`, output channels filled up to
    whole vectors of `lanes`.

    Exact but for a layer of which a reader takes every second or fourth channel: that one is
    assumed to keep its share.
    """
    living = living_channels(folded)
    kept = {name: min(widths.get(name, len(alive)), len(alive)) for name, alive in living.items()}
    total = 0.0
    for layer in LAYERS:
        inputs = float(len(input_channels(living, layer)))
        if layer.source is not None:
            inputs *= kept[layer.source] / len(living[layer.source])
        taps = weight_and_bias(folded, layer.name)[0][0, 0].numel()
        outputs = ceil(kept[layer.name] / lanes) * lanes
        total += layer.pixels * inputs * outputs * taps
    contexts = sum(kept[layer.name] for layer in LAYERS if layer.context is not None)
    return total + POSITIONS * CLASSES * contexts


def cheapest_widths(
    cuts: Iterable[Cut],
    work: Callable[[Mapping[str, int]], float],
    cost: Callable[[Mapping[str, int]], float],
    target: float,
) -> dict[str, int]:
    """Widths whose `work` is at most `target`, as if the errors of cuts added up.

    Again and again the step down that costs least error per `cost` saved, among all layers and all
    their narrower widths. Raises `UserError` if all cuts together do not save enough.
    """
    options = list(cuts)
    chosen: dict[str, Cut] = {}
    widths: dict[str, int] = {}
    while work(widths) > target:
        now = cost(widths)
        best: tuple[float, Cut] | None = None
        for cut in options:
            before = chosen.get(cut.name)
            saved = now - cost({**widths, cut.name: cut.width})
            if saved > 0:
                price = max(cut.error - (before.error if before else 0.0), 0.0) / saved
                if best is None or price < best[0]:
                    best = (price, cut)
        if best is None:
            raise UserError(
                f"no cuts lead to {target / 1e6:.1f} million multiply-accumulates; allow more"
            )
        chosen[best[1].name] = best[1]
        widths[best[1].name] = best[1].width
    return widths


def sweep(
    model: LPRNet,
    images: Tensor,
    cuts: Iterable[Cut],
    targets: Iterable[int],
    evaluate: Callable[[LPRNet], float],
) -> list[Point]:
    """`model` pruned to at most each of `targets` multiply-accumulates, and what `evaluate` says.

    What a cut saves is counted in whole vectors, for these take the time. `cuts` are `price_cuts`'
    of the same model; `images` `(N, 3, 24, 94)` need no labels. Raises as `prune.structured` and
    `cheapest_widths`.
    """
    folded = fold(model)
    points = []
    priced = list(cuts)
    for target in tqdm(list(targets), desc="sweeping", leave=False, disable=None):
        widths, pruned = _within(folded, images, priced, target)
        points.append(Point(widths, macs(pruned), evaluate(pruned), pruned))
    return points


def _within(
    folded: LPRNet, images: Tensor, cuts: Sequence[Cut], target: int
) -> tuple[dict[str, int], LPRNet]:
    """The cheapest widths that keep to `target`, and `folded` pruned to them."""
    work, cost = partial(planned_macs, folded), partial(planned_macs, folded, lanes=LANES)
    planned: float = target
    while True:
        widths = cheapest_widths(cuts, work, cost, planned)
        pruned = structured(folded, images, widths)
        over = macs(pruned) - target
        if over <= 0:
            return widths, pruned
        planned = work(widths) - over


def smallest_within(points: Iterable[Point], accuracy: float) -> Point:
    """The point of least work that reads at least `accuracy`.

    Raises `UserError` if there is none.
    """
    good = [point for point in points if point.accuracy >= accuracy]
    if not good:
        raise UserError(f"no pruned network of the sweep reaches an accuracy of {accuracy}")
    return min(good, key=lambda point: point.macs)
