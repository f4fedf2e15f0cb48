"""Trained networks as files: those that ship, and the user's own, each made only once.

A user's are in `$XDG_CACHE_HOME/lprnet/distilled` (`~/.cache` where that is not set), named after
everything they depend on; `.training` is a run that was ended, and goes on when the same is asked
for again.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lprnet.compression.compact import CompactNetwork
from lprnet.compression.distill.recipe import Recipe
from lprnet.compression.distill.train import tensors
from lprnet.model.architecture import Architecture
from lprnet.model.architecture_json import to_json
from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError
from lprnet.weights import DISTILLED

VERSION = 4
"""Incremented where the same recipe trains otherwise than before."""


def cache_folder() -> Path:
    """Where trained networks and rendered plates are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lprnet"


def network_key(checkpoint: bytes, architecture: Architecture, widths: Mapping[str, int]) -> str:
    """Names a pruned network that is not trained: the SHA-256 of the content of its checkpoint, of
    the architecture that it was read as, and of its widths.
    """
    described = json.dumps([to_json(architecture), dict(widths)], sort_keys=True)
    return hashlib.sha256(hashlib.sha256(checkpoint).digest() + described.encode()).hexdigest()


def recipe_key(network: str, recipe: Recipe, plates: str, images: bytes) -> str:
    """Names what comes of training: also of the recipe, the version of the rendered `plates`, and
    the user's images.
    """
    described = json.dumps([VERSION, network, asdict(recipe), plates])
    return hashlib.sha256(described.encode() + hashlib.sha256(images).digest()).hexdigest()


def shipped(network: str) -> Path | None:
    """The file that ships for the network of this key, by the long recipe."""
    return _shipped("network", network)


def shipped_instead_of_refit(whole: str) -> Path | None:
    """The file that ships as what structured pruning makes of a network, in any arithmetic; `whole`
    is the key of that network at no widths.
    """
    return _shipped("instead_of_refit", whole)


def _shipped(name: str, key: str) -> Path | None:
    for path in sorted(DISTILLED.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            if file.metadata().get(name) == key:
                return path
    return None


def write_result(path: Path, network: CompactNetwork, description: Mapping[str, str]) -> None:
    """Write `network`; `description` goes into the metadata. Raises `UserError` as
    `atomic_write` does.
    """
    with atomic_write(path) as partial:
        partial.write_bytes(save(tensors(network), dict(description)))


def read_result(path: Path, architecture: Architecture) -> CompactNetwork:
    """What `write_result` wrote. Raises `UserError` where the file is damaged."""
    try:
        with safe_open(path, "pt") as file:
            found: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} is damaged; delete it, and build again") from error
    return CompactNetwork(architecture, _named(found, ".weight"), _named(found, ".bias"))


def _named(tensors: Mapping[str, Tensor], ending: str) -> dict[str, Tensor]:
    found = {name: one for name, one in tensors.items() if name.endswith(ending)}
    return {name.removesuffix(ending): one for name, one in found.items()}
