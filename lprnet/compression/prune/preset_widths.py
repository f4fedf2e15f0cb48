"""How many channels structured pruning keeps where the user does not search for widths.

`lprnet/weights/structured_widths.json` lists them by architecture: the output channels of every
convolution before pruning but the last, whose channels are the classes of whatever alphabet, then
for `float32` and `int8` arithmetic how many stay.

Those of the public checkpoint's architecture are what `width_search.py` picks for that checkpoint
at a budget of 28 million multiply-accumulates, without labels: the cheapest cuts to multiples of 8,
by the squared change of the logits of 32 calibration images per work saved. For float32, whole
vectors were counted; for int8 the work without padding, as whole vectors made static int8 no
faster. Other checkpoints of that architecture get the same widths, their own channels chosen and
refitted; `lprnet sweep` finds widths of their own.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from lprnet.model.lprnet import LPRNet
from lprnet.support.errors import UserError
from lprnet.weights import STRUCTURED_WIDTHS


def preset_widths(model: LPRNet, checkpoint: Path, arithmetic: str) -> Mapping[str, int]:
    """The channels that stay, by convolution, of `model` in `float32` or `int8` arithmetic.

    Raises `UserError` naming `checkpoint`, where `model` is from, for an architecture without any.
    """
    *before, _classes = model.architecture.backbone
    channels = {conv.name: conv.out_channels for conv in before}
    for entry in json.loads(STRUCTURED_WIDTHS.read_text(encoding="utf-8")):
        if entry["channels"] == channels:
            widths: dict[str, int] = entry[arithmetic]
            return widths
    raise UserError(
        f"{checkpoint}: nothing says how many channels structured pruning should keep of an LPRNet "
        "with its layers; build it with --pruned=unstructured"
    )
