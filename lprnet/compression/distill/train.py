"""Train a pruned network towards the answers of the network that it was cut from.

Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv:1503.02531, at temperature 1:
the loss is the divergence of the classes at each position. No labels are read. The student is
trained as it is computed later, with the constants of the context norm in its container, so nothing
has to be calibrated again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from lprnet.compression.compact import CompactNetwork
from lprnet.compression.distill.batches import Pixels, step_images
from lprnet.compression.distill.recipe import Recipe
from lprnet.compression.distill.soap import Soap
from lprnet.compression.distill.teacher import Answers
from lprnet.distillation.augment import normalised
from lprnet.distillation.losses import divergence
from lprnet.distillation.run_state import kept_share, write_state
from lprnet.support.errors import UserError

SAVED_EVERY = 100
"""Steps: half a minute on one core. What a kill loses."""
MAX_GRADIENT = 2.0
"""Longer ones are cut to this norm."""

Plates = Callable[[int], Iterator[Pixels]]
"""The rendered plates of all steps from the given one on."""


@dataclass
class Training:
    """A student in training; `step` steps are done."""

    network: CompactNetwork
    average: CompactNetwork
    """The moving average of `network`: what comes of the training."""
    optimizer: Soap
    step: int = 0

    @staticmethod
    def start(student: CompactNetwork) -> "Training":
        """Step 0."""
        network = _mapped(student, lambda tensor: _channels_last(tensor).requires_grad_())
        groups = []
        for name, weight in network.weights.items():
            bias = network.biases[name]
            groups.append({"params": [weight], "scale": _magnitude(weight)})
            scale = max(_magnitude(weight), _magnitude(bias))
            groups.append({"params": [bias], "scale": scale})
        return Training(network, _mapped(network, _copied), Soap(groups))

    def content(self) -> dict[str, Any]:
        """Everything that `restore` needs."""
        return {
            "network": tensors(_mapped(self.network, _copied)),
            "average": tensors(self.average),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }

    @torch.no_grad()
    def restore(self, content: dict[str, Any]) -> None:
        """Go on from `content`."""
        for network, name in ((self.network, "network"), (self.average, "average")):
            for key, tensor in tensors(network).items():
                tensor.copy_(content[name][key])
        self.optimizer.load_state_dict(content["optimizer"])
        self.step = content["step"]

    def learn(self, images: Tensor, answers: Tensor, recipe: Recipe) -> float:
        """One step towards `answers`; the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate(self.step) * group["scale"]
        loss = divergence(self.network.logits(images), answers)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        trained = list(tensors(self.network).values())
        torch.nn.utils.clip_grad_norm_(trained, MAX_GRADIENT)
        self.optimizer.step()
        self.step += 1
        keep = kept_share(self.step, recipe.averaged)
        with torch.no_grad():
            for average, tensor in zip(tensors(self.average).values(), trained, strict=True):
                average.lerp_(tensor, 1 - keep)
        return float(loss.detach())


def train(
    student: CompactNetwork,
    teacher: Answers,
    own: Tensor,
    recipe: Recipe,
    plates: Plates,
    state: Path,
    device: torch.device,
) -> CompactNetwork:
    """`student` after all steps of `recipe`, on `device`, where `teacher` answers too.

    `own` are the user's images, `(N, 3, 24, 94)` without labels. `state` is written every
    `SAVED_EVERY` steps and read first: a run that was ended goes on as if it had not been. It is
    removed at the end. Raises `UserError` where it is damaged.
    """
    training = Training.start(on_device(student, device))
    if state.exists():
        _resume(training, state)
    bar = tqdm(
        plates(training.step),
        desc="distilling",
        initial=training.step,
        total=recipe.steps,
        unit="step",
        leave=False,
        disable=None,
    )
    for rendered in bar:
        images = step_images(rendered, own, recipe, training.step, device)
        loss = training.learn(normalised(images), teacher(images), recipe)
        bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        if training.step % SAVED_EVERY == 0:
            write_state(state, training.content())
    state.unlink(missing_ok=True)
    return _mapped(training.average, lambda tensor: tensor.cpu().contiguous())


def on_device(network: CompactNetwork, device: torch.device) -> CompactNetwork:
    """A copy on `device`, in the layout in which convolutions are fastest."""
    return _mapped(network, lambda tensor: _channels_last(tensor.to(device)))


def tensors(network: CompactNetwork) -> dict[str, Tensor]:
    """All tensors of a network by name, weights and biases."""
    weights = {f"{name}.weight": weight for name, weight in network.weights.items()}
    return weights | {f"{name}.bias": bias for name, bias in network.biases.items()}


def _resume(training: Training, state: Path) -> None:
    try:
        training.restore(torch.load(state, weights_only=True))
    except Exception as error:  # torch.load raises what its pickle happens to trip over
        raise UserError(f"{state} is no state of this training; delete it") from error


def _mapped(network: CompactNetwork, change: Callable[[Tensor], Tensor]) -> CompactNetwork:
    weights = {name: change(weight) for name, weight in network.weights.items()}
    biases = {name: change(bias) for name, bias in network.biases.items()}
    return replace(network, weights=weights, biases=biases)


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()


def _channels_last(tensor: Tensor) -> Tensor:
    """Images and weights as torch's convolutions on a CPU are fastest; biases as they are."""
    if tensor.ndim < 4:
        return tensor.detach().clone()
    return tensor.detach().clone(memory_format=torch.channels_last)


def _magnitude(tensor: Tensor) -> float:
    """Root mean square; steps are as large as their rate, whatever the weights are."""
    return max(float(tensor.detach().square().mean().sqrt()), 1e-6)
