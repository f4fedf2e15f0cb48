"""How many channels structured pruning keeps where the user does not search for widths.

`lprnet/weights/structured_widths.json` lists them by architecture: the output channels of every
convolution before pruning but the last, whose channels are the classes of whatever alphabet, then
for `float32` and `int8` arithmetic how many stay, and under `distilled`, by millions of
multiply-accumulates, how many stay where they are trained afterwards (`--distill`).

Those of the public checkpoint's architecture are what `width_search.py` picks for that checkpoint
at a budget of 28 million multiply-accumulates, without labels: the cheapest cuts to multiples of 8,
by the squared change of the logits of 32 calibration images per work saved. For float32, whole
vectors were counted; for int8 the work without padding, as whole vectors made static int8 no
faster. Other checkpoints of that architecture get the same widths, their own channels chosen and
refitted; `lprnet sweep` finds widths of their own.

Those for training change the logits least of all that take little time, as `register_tiles.py`
predicts it for AVX-512 VNNI: of all widths of 19.95 MMAC or less that were enumerated, a squared
error of 2.25 (the least is 2.11) at 0.75 of the cycles of the 27.6 MMAC of `int8`. Block 1, which
resists most, gives up a quarter of two of its layers; half of them would cost 5.4. Channels are
whole vectors of AVX2, and whole groups of the four that VNNI multiplies.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lprnet.model.lprnet import LPRNet
from lprnet.support.errors import UserError
from lprnet.weights import STRUCTURED_WIDTHS


def preset_widths(model: LPRNet, checkpoint: Path, arithmetic: str) -> Mapping[str, int]:
    """The channels that stay, by convolution, of `model` in `float32` or `int8` arithmetic.

    Raises `UserError` naming `checkpoint`, where `model` is from, for an architecture without any.
    """
    widths: dict[str, int] = _recorded(model, checkpoint)[arithmetic]
    return widths


def distilled_widths(model: LPRNet, checkpoint: Path, mmac: float) -> Mapping[str, int]:
    """The channels that stay where the rest is trained: the most that need at most `mmac` million
    multiply-accumulates.

    Raises `UserError` as `preset_widths`, and where all need more.
    """
    recorded = _recorded(model, checkpoint)["distilled"]
    fitting = [int(budget) for budget in recorded if int(budget) <= mmac]
    if not fitting:
        least = min(int(budget) for budget in recorded)
        raise UserError(f"no widths are known for {mmac:g} MMAC; give at least {least}")
    widths: dict[str, int] = recorded[str(max(fitting))]
    return widths


def _recorded(model: LPRNet, checkpoint: Path) -> dict[str, Any]:
    """The entry of `model`'s architecture."""
    *before, _classes = model.architecture.backbone
    channels = {conv.name: conv.out_channels for conv in before}
    for entry in json.loads(STRUCTURED_WIDTHS.read_text(encoding="utf-8")):
        if entry["channels"] == channels:
            found: dict[str, Any] = entry
            return found
    raise UserError(
        f"{checkpoint}: nothing says how many channels structured pruning should keep of an LPRNet "
        "with its layers; build it with --pruned=unstructured"
    )
