"""Everything a training run needs to go on after a kill, in one file that is never half-written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lprnet.distillation.run_state import kept_share, write_state
from lprnet.model.architecture import Architecture
from lprnet.model.architecture_json import from_json, to_json
from lprnet.model.lprnet import LPRNet
from lprnet.support.errors import UserError
from lprnet.training.network_slimming import Live, live_channels, narrow, restore
from lprnet.training.recipe import Recipe


@dataclass
class TrainState:
    """The narrowed network in training, its exponential moving average, the optimiser, the step.

    Batches are a function of (seed, step), so the step is all there is to say about the data.
    """

    architecture: Architecture
    """Of the whole network."""
    live: Live
    model: LPRNet
    """With the live channels alone."""
    average: dict[str, Tensor]
    """Moving average of `model`'s state dict: what is validated and shipped."""
    optimizer: torch.optim.AdamW
    step: int
    seed: int
    peak: float
    """The highest learning rate."""
    slimming: float
    """Pull on the batch norms' scales, in learning rates."""
    learns_from: tuple[str, ...] = ()
    """What it learns from beside rendered plates, as the options that name it."""

    def averaged(self) -> LPRNet:
        """The moving average as a full-shape network in evaluation mode, on the CPU."""
        on_cpu = {name: tensor.cpu() for name, tensor in self.average.items()}
        return restore(on_cpu, self.live, self.architecture)

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Pull the average towards the current weights; younger averages forget faster."""
        keep = kept_share(self.step, decay)
        for name, tensor in self.model.state_dict().items():
            if tensor.is_floating_point():
                self.average[name].lerp_(tensor, 1 - keep)
            else:
                self.average[name].copy_(tensor)


def parameter_groups(model: LPRNet, weight_decay: float) -> list[dict[str, Any]]:
    """Decay for convolution weights only: biases and batch norms have their own rules."""
    matrices = [p for p in model.parameters() if p.ndim == 4]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def start(
    full: LPRNet, recipe: Recipe, peak: float, slimming: float, device: torch.device
) -> TrainState:
    """Step 0 of training the living channels of `full`."""
    live = live_channels(full)
    model = narrow(full, live)
    return _assemble(
        full.architecture, live, model, recipe, (0, recipe.seed, peak, slimming), device
    )


def _assemble(
    architecture: Architecture,
    live: Live,
    model: LPRNet,
    recipe: Recipe,
    numbers: tuple[int, int, float, float],
    device: torch.device,
) -> TrainState:
    """`numbers` are the state's step, seed, peak and slimming."""
    model = model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.AdamW(parameter_groups(model, recipe.weight_decay))
    return TrainState(architecture, live, model, average, optimizer, *numbers)


def save(state: TrainState, path: Path) -> None:
    """Write `state`; a kill at any moment leaves the previous file or the new one."""
    content = {
        "architecture": to_json(state.architecture),
        "live": state.live,
        "model": state.model.state_dict(),
        "average": state.average,
        "optimizer": state.optimizer.state_dict(),
        "learns_from": state.learns_from,
        "numbers": (state.step, state.seed, state.peak, state.slimming),
    }
    write_state(path, content)


def load(path: Path, recipe: Recipe, device: torch.device) -> TrainState:
    """The state that `save` wrote, on whatever device. Raises `UserError` where `path` is missing
    or damaged.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        architecture, live = from_json(content["architecture"]), content["live"]
        architecture.shapes()
        model = narrow(restore(content["model"], live, architecture), live)
        model.load_state_dict(content["model"])
        state = _assemble(architecture, live, model, recipe, content["numbers"], device)
        state.average = {name: tensor.to(device) for name, tensor in content["average"].items()}
        state.optimizer.load_state_dict(content["optimizer"])  # moves it to the device
        state.learns_from = tuple(content["learns_from"])
    except FileNotFoundError as error:
        raise UserError(
            f"there is no run to resume at {path}; start one without --resume"
        ) from error
    except Exception as error:  # torch.load raises what its pickle happens to trip over
        raise UserError(
            f"{path} is no state of a training run; start one without --resume"
        ) from error
    return state
