"""How many channels structured pruning keeps of the published network.

`lprnet/weights/structured_widths.json` lists, for `float32`, `int8` and `bf16` arithmetic, how many
channels of a convolution stay, and under `distilled`, by millions of multiply-accumulates, how many
stay where they are trained afterwards (`--distill`), and whether half of the rows of the first
block do too (`half_rows.py`). They hold for that network alone, of whatever weights; widths of
others come from a search (`kept_widths.py`).

They are what `width_search.py` picks for the public checkpoint at a budget of 28 million
multiply-accumulates, without labels: the cheapest cuts to multiples of 8, by the squared change of
the logits of 32 calibration images per work saved. For float32, whole vectors were counted; for
int8 the work without padding, as whole vectors made static int8 no faster. Other weights get the
same widths, their own channels chosen and refitted; `lprnet sweep` finds widths of their own.

For bf16, which runs on tile registers alone, a search counted tiles (`tile_cost.py`) among whole
ones: these are its steps until the logits change as much as with the widths for float32 (a squared
error of 0.35, with those 0.38). They keep 30.4 million multiply-accumulates, which take 5 % fewer
cycles of the model, and read 902 of the 1,000 photographs, where those for float32 read 898; the
next step, 64 channels of the last layer of block 1, reads 890. Static int8 has the same integers on
every target, so its widths cannot follow tiles.

Those for training at 20 million keep all channels that live in the first block, which resists most,
on half of its rows, and 16 where the second and the third have room (`docs/checkpoints.md` has what
others gave). Channels are whole vectors of AVX2, and whole groups of the four that VNNI multiplies.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lprnet.model.architecture import Architecture
from lprnet.model.published_lprnet import LPRNET_CHINA, has_published_layers
from lprnet.support.errors import UserError
from lprnet.weights import STRUCTURED_WIDTHS


def recorded_widths(architecture: Architecture, arithmetic: str) -> Mapping[str, int] | None:
    """The channels that stay, by convolution, in `float32`, `int8` or `bf16` arithmetic; None for
    another network than the published one.
    """
    if not _is_published(architecture):
        return None
    widths: dict[str, int] = _recorded()[arithmetic]
    return widths


@dataclass(frozen=True)
class WidthsToTrain:
    """What stays where the rest is trained."""

    widths: Mapping[str, int]
    half_rows: bool
    """Of the first block, beside its channels."""


def recorded_widths_to_train(architecture: Architecture, mmac: float) -> WidthsToTrain | None:
    """The most that needs at most `mmac` million multiply-accumulates. None as in
    `recorded_widths`.

    Raises `UserError` where all need more.
    """
    if not _is_published(architecture):
        return None
    recorded = _recorded()["distilled"]
    fitting = [int(budget) for budget in recorded if int(budget) <= mmac]
    if not fitting:
        least = min(int(budget) for budget in recorded)
        raise UserError(f"no widths are known for {mmac:g} MMAC; give at least {least}")
    return WidthsToTrain(**recorded[str(max(fitting))])


def _is_published(architecture: Architecture) -> bool:
    """Whether it has the published network's layers, contexts, classes and images; a batch norm
    may be folded.
    """

    def widths(one: Architecture) -> list[int]:
        return [one.channels, *(conv.out_channels for conv in one.backbone)]

    return has_published_layers(architecture) and widths(architecture) == widths(LPRNET_CHINA)


def _recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(STRUCTURED_WIDTHS.read_text(encoding="utf-8"))
    return found
