"""How narrow each layer may be: its sensitivity alone, and the cheapest widths for a budget."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from math import ceil

import torch
from torch import Tensor
from tqdm import tqdm

from lprnet.compiler.complexity import count_macs
from lprnet.compression.compact import CompactNetwork
from lprnet.compression.prune.prune import structured
from lprnet.compression.prune.reconstruction import Reconstruction
from lprnet.compression.reduced import ReducedNetwork
from lprnet.model.architecture import Architecture
from lprnet.support.errors import UserError

SENSITIVITY_IMAGES = 32
"""Errors rank candidates; a third of the calibration images ranks them like all of them."""
LANES = 16
"""Output channels of an AVX-512 vector: a kernel takes as long for 24 of them as for 32."""


@dataclass(frozen=True)
class Candidate:
    """One layer alone narrowed to `width` channels, everything after it refitted."""

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
    network: ReducedNetwork


def layer_sensitivity(network: CompactNetwork, images: Tensor, step: int = 8) -> list[Candidate]:
    """Every layer of `network` alone at every narrower multiple of `step` channels.

    Multiples of 8 or 16 fill the vectors of AVX2 or AVX-512. `images` `(N, 3, 24, 94)` need no
    labels.
    """
    images = images[:SENSITIVITY_IMAGES]
    options = [
        (conv.name, width)
        for conv in network.architecture.backbone
        for width in range(step, len(network.biases[conv.name]), step)
    ]
    with torch.no_grad():
        target = network.logits(images)
        candidates = []
        for name, width in tqdm(options, desc="measuring sensitivity", leave=False, disable=None):
            pruned = structured(network, images, {name: width})
            error = float((pruned.logits(images) - target).square().mean())
            candidates.append(Candidate(name, width, error))
    return candidates


def planned_macs(network: CompactNetwork, widths: Mapping[str, int], lanes: int = 1) -> float:
    """Multiply-accumulates per image that `network` would have with `widths`, output channels
    padded to whole vectors of `lanes`.

    Exact but for a layer that reads some channels of its producer only: it is assumed to keep its
    share.
    """
    architecture = network.architecture
    counts = {name: len(bias) for name, bias in network.biases.items()}
    kept = {name: min(widths.get(name, count), count) for name, count in counts.items()}
    total = 0.0
    for name, producer, taps in _taps(architecture):
        inputs = float(network.weights[name].shape[1])
        if producer is not None:
            inputs *= kept[producer] / counts[producer]
        total += taps * inputs * ceil(kept[name] / lanes) * lanes
    contexts = sum(kept[context.of] for context in architecture.contexts)
    return total + architecture.positions * architecture.classes * contexts


@lru_cache(maxsize=8)
def _taps(architecture: Architecture) -> tuple[tuple[str, str | None, int], ...]:
    """Of each convolution its name, its producer's, and how often an image multiplies each pair of
    its input and output channels. Budgets are planned thousands of times.
    """
    shapes, rows = architecture.shapes(), []
    for conv in architecture.backbone:
        _, height, width = shapes[conv.name]
        producer = architecture.producer(conv)
        taps = height * width * conv.kernel[0] * conv.kernel[1]
        rows.append((conv.name, None if producer is None else producer.name, taps))
    return tuple(rows)


def greedy_widths(
    candidates: Iterable[Candidate],
    work: Callable[[Mapping[str, int]], float],
    cost: Callable[[Mapping[str, int]], float],
    target: float,
) -> dict[str, int]:
    """Widths whose `work` is at most `target`, as if the errors of candidates added up.

    Again and again the step down that costs least error per `cost` saved, among all layers and all
    their narrower widths. Raises `UserError` if all candidates together do not save enough.
    """
    options = list(candidates)
    chosen: dict[str, Candidate] = {}
    widths: dict[str, int] = {}
    while work(widths) > target:
        now = cost(widths)
        best: tuple[float, Candidate] | None = None
        for candidate in options:
            before = chosen.get(candidate.name)
            saved = now - cost({**widths, candidate.name: candidate.width})
            if saved > 0:
                price = max(candidate.error - (before.error if before else 0.0), 0.0) / saved
                if best is None or price < best[0]:
                    best = (price, candidate)
        if best is None:
            raise UserError(
                f"no narrower layers lead to {target / 1e6:.1f} million multiply-accumulates; "
                "allow more"
            )
        chosen[best[1].name] = best[1]
        widths[best[1].name] = best[1].width
    return widths


def refuse_unreachable(
    network: CompactNetwork, widths: Mapping[str, Sequence[int]], target: float
) -> None:
    """Raise `UserError`, as `greedy_widths` does, where the narrowest of `widths` all together need
    more than `target` multiply-accumulates: before any of them is measured.
    """
    narrowest = [Candidate(name, min(options), 0.0) for name, options in widths.items()]
    work = partial(planned_macs, network)
    greedy_widths(narrowest, work, work, target)


def sweep(
    reduced: ReducedNetwork,
    images: Tensor,
    candidates: Iterable[Candidate],
    targets: Iterable[int],
    evaluate: Callable[[ReducedNetwork], float],
) -> list[Point]:
    """`reduced` pruned to at most each of `targets` multiply-accumulates, and its accuracy by
    `evaluate`.

    What a candidate saves is counted in whole vectors, for these take the time. `candidates` are
    `layer_sensitivity`'s of the same network; `images` `(N, 3, 24, 94)` need no labels. Raises as
    `greedy_widths`.
    """
    points = []
    measured = list(candidates)
    whole_vectors = partial(planned_macs, reduced.compact, lanes=LANES)
    for target in tqdm(list(targets), desc="sweeping", leave=False, disable=None):
        widths, pruned = within(reduced, images, measured, target, whole_vectors)
        points.append(Point(widths, count_macs(pruned.module), evaluate(pruned), pruned))
    return points


def within(
    reduced: ReducedNetwork,
    images: Tensor,
    candidates: Sequence[Candidate],
    target: int,
    cost: Callable[[Mapping[str, int]], float],
) -> tuple[dict[str, int], ReducedNetwork]:
    """The cheapest widths that keep to `target`, and `reduced` pruned to them; `cost` is what takes
    the time of given widths, in any unit. The rest as in `sweep`.
    """
    work = partial(planned_macs, reduced.compact)
    reconstruction = Reconstruction(reduced.compact, images)
    planned: float = target
    while True:
        widths = greedy_widths(candidates, work, cost, planned)
        pruned = reduced.bind(reconstruction.prune(widths))
        over = count_macs(pruned.module) - target
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
