"""What a run starts from: random weights, or a checkpoint."""

import torch
from torch import nn

from lprnet.model.conv_graph import weight_and_bias
from lprnet.model.lprnet import LPRNet
from lprnet.training.network_slimming import prune_at_init
from lprnet.training.recipe import Recipe
from lprnet.training.state import TrainState, start


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
