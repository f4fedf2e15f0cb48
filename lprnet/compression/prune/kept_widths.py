"""How narrow structured pruning makes a network: as the user says, as is recorded for the published
network, or as a search finds.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lprnet.compression.calibration import rendered_images
from lprnet.compression.half_rows import half_rows
from lprnet.compression.prune.prune import structured
from lprnet.compression.prune.quick_search import quick_search
from lprnet.compression.prune.recorded_widths import recorded_widths, recorded_widths_to_train
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.distillation.losses import divergence
from lprnet.model.architecture import Architecture
from lprnet.model.lprnet import LPRNet
from lprnet.model.preprocessing import normalise
from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError

MMAC_TO_TRAIN = 20.0
MAX_BYTES = 100_000


@dataclass(frozen=True)
class Keep:
    """What the user said of the channels that stay."""

    widths: Path | None = None
    """A file of `write_widths`."""
    mmac: float | None = None
    """Millions of multiply-accumulates, at most."""


def pruned_to_widths(
    reduced: ReducedNetwork, images: Tensor, keep: Keep, arithmetic: str
) -> tuple[ReducedNetwork, str]:
    """`reduced` without the channels that can go, the rest refitted, and a sentence that says how.

    `images` `(N, C, H, W)` need no labels; `arithmetic` is `float32`, `bf16` or `int8`. Raises
    `UserError` for a file that holds no widths of this network, and for a budget that nothing keeps
    to.
    """
    how = "whole channels"
    recorded: Mapping[str, int] | None = None
    if keep.widths is not None:
        recorded = read_widths(keep.widths, reduced.architecture)
        how = f"whole channels, widths of {keep.widths.name}"
    elif keep.mmac is None:
        recorded = recorded_widths(reduced.architecture, arithmetic)
    if recorded is not None:
        return reduced.bind(structured(reduced.compact, images, recorded)), how
    macs = None if keep.mmac is None else int(1e6 * keep.mmac)
    return quick_search(reduced, images, arithmetic, macs)[1], "whole channels, widths searched"


def kept_to_train(
    model: LPRNet, reduced: ReducedNetwork, images: Tensor, keep: Keep
) -> tuple[ReducedNetwork, Mapping[str, int]]:
    """What stays where the rest is trained: `reduced`, or the same with half of the rows in its
    first block, and the channels of it. `reduced` is of `model`. Raises as `pruned_to_widths`.
    """
    if keep.widths is not None:
        return reduced, read_widths(keep.widths, reduced.architecture)
    mmac = MMAC_TO_TRAIN if keep.mmac is None else keep.mmac
    recorded = recorded_widths_to_train(reduced.architecture, mmac)
    if recorded is not None:
        network = fewer_rows(model) if recorded.half_rows else reduced
        assert network is not None, "half of the rows of the published network"
        return network, recorded.widths
    plates = torch.from_numpy(normalise(rendered_images(model.architecture.image_format)))
    found: list[tuple[float, ReducedNetwork, Mapping[str, int]]] = []
    refused = None
    for network in (reduced, fewer_rows(model)):
        if network is not None:
            try:
                widths, cut = quick_search(network, images, "int8", int(1e6 * mmac))
                found.append((distance(cut, reduced, plates), network, widths))
            except UserError as error:
                refused = error
    if not found and refused is not None:
        raise refused
    _, nearest, kept = min(found, key=lambda one: one[0])
    return nearest, kept


def fewer_rows(model: LPRNet) -> ReducedNetwork | None:
    """`model`, reduced, with half of the rows in its first block; None as in `half_rows`."""
    rows = half_rows(model)
    return None if rows is None else reduce(rows)


def distance(network: ReducedNetwork, whole: ReducedNetwork, plates: Tensor) -> float:
    """The divergence of `network`, cut and not trained, from `whole` on rendered `plates`
    `(N, C, H, W)`.

    Of the public checkpoint's channels alone and half of its rows, what is nearer so is nearer
    after 1,000 steps too, at 8 to 40 MMAC. By the logits of the images that both were refitted on,
    channels alone would be at 20.
    """
    return float(divergence(network.compact.logits(plates), whole.compact.logits(plates)))


def read_widths(path: Path, architecture: Architecture) -> dict[str, int]:
    """A JSON object: by convolution of `architecture`, how many of its channels stay.

    Raises `UserError` for anything else.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the widths {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} holds no widths: {error}; write them with sweep") from error
    known = {conv.name: conv.out_channels for conv in architecture.backbone}
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} names no convolution; write it with sweep --widths FILE")
    for name, width in content.items():
        if name not in known:
            raise UserError(
                f"{path} has a width of {name!r}, which is no convolution of this network; its own "
                f"are {', '.join(known)}"
            )
        if type(width) is not int or not 1 <= width <= known[name]:
            raise UserError(
                f"{path} keeps {json.dumps(width)} channels of {name}; give a whole number from 1 "
                f"to {known[name]}"
            )
    return content


def write_widths(widths: Mapping[str, int], path: Path) -> None:
    """The file that `read_widths` reads. Raises `UserError` where it cannot be written."""
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(dict(widths), indent=2) + "\n", encoding="utf-8")
