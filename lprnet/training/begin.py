"""What a run starts from: random weights, or a checkpoint."""

from pathlib import Path

import torch
from torch import nn

from lprnet.model.alphabets import UnknownAlphabetError, find_alphabet
from lprnet.model.checkpoint import load_model, load_model_reading
from lprnet.model.conv_graph import weight_and_bias
from lprnet.model.lprnet import LPRNet
from lprnet.runtime.alphabet import Alphabet
from lprnet.support.errors import UserError
from lprnet.training.network_slimming import prune_at_init
from lprnet.training.new_alphabet import with_alphabet
from lprnet.training.recipe import Recipe
from lprnet.training.state import TrainState, start
from lprnet.weights import DEFAULT_CHECKPOINT


def starting_network(
    checkpoint: Path | None, alphabet: str | None, size: tuple[int, int] | None
) -> LPRNet | None:
    """The network that a user names to start from; None: random weights.

    `alphabet`, a name or a file, and `size`, width and height, change what the network of
    `checkpoint` reads, or that of the weights that ship. A checkpoint of an alphabet that is not
    known reads `alphabet` already, if that has as many classes. Raises `UserError`.
    """
    if alphabet is None and size is None:
        return None if checkpoint is None else load_model(checkpoint)
    checkpoint = checkpoint or DEFAULT_CHECKPOINT
    if alphabet is None:
        model = load_model(checkpoint)
        known = model.architecture.alphabet
    else:
        known = find_alphabet(alphabet)
        model = _network(checkpoint, known, alphabet)
    try:
        return with_alphabet(model, known, size)
    except ValueError as error:
        raise UserError(f"the network {error}; give another --size") from error


def _network(checkpoint: Path, known: Alphabet, alphabet: str) -> LPRNet:
    """The network of `checkpoint`; of no known alphabet, it reads `known`, named `alphabet`."""
    try:
        return load_model_reading(checkpoint, known)
    except UnknownAlphabetError as error:
        raise UserError(
            f"{checkpoint} has {error.classes} classes, the blank included, of an alphabet "
            f"that is not known, and {alphabet} has {known.classes}; say what they are in "
            f"{checkpoint}.json, as "
            '{"alphabet": {"name": "theirs", "symbols": ["0", "1", "-"], "blank": 2}}'
        ) from error


def initialise(model: LPRNet) -> None:
    """He initialisation of every convolution before a ReLU; four of a block's five have no norm."""
    for conv in model.architecture.backbone:
        weight, bias = weight_and_bias(model, conv.name)
        nn.init.kaiming_normal_(weight, nonlinearity="relu")
        nn.init.zeros_(bias)


def begin(recipe: Recipe, checkpoint: LPRNet | None, device: torch.device) -> TrainState:
    """A fresh run: random weights, pruned at initialisation, or `checkpoint` narrowed."""
    torch.manual_seed(recipe.seed)
    if checkpoint is not None:
        return start(checkpoint, recipe, recipe.fine_tuning_peak, 0.0, device)
    full = LPRNet()
    prune_at_init(full)
    state = start(full, recipe, recipe.peak, recipe.slimming, device)
    initialise(state.model)
    return state
