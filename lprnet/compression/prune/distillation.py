"""Fine-tune a small network to answer like a large one, on images without labels.

Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv:1503.02531, at temperature 1,
with the squared error of the logits added. A network would overfit to a hundred plates, so every
step makes new ones: two plates cut at a random column and joined (CutMix, Yun et al.,
arXiv:1905.04899), shifted, with other brightness and contrast and some noise. The large network's
logits are the targets.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import trange

from lprnet.compression.compact import CompactNetwork

Logits = Callable[[CompactNetwork, Tensor], Tensor]
"""How the student is run: `(N, 3, 24, 94)` to `(N, 68, 18)`."""

BATCH = 16
WARM_UP = 20
SQUARED_ERROR = 0.02
"""Weight of the logits' mean squared error beside the divergence."""


def mixed_plates(images: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` new images `(count, 3, 24, 94)` out of `images` `(N, 3, 24, 94)`, within -1 to 1."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=generator) * (high - low) + low

    chosen = images[torch.randint(len(images), (2, count), generator=generator)]
    cut = uniform(0, images.shape[3])
    mixed = torch.where(torch.arange(images.shape[3]) < cut, chosen[0], chosen[1])
    padded = F.pad(mixed, (3, 3, 1, 1), mode="replicate")
    down = int(torch.randint(3, (1,), generator=generator))
    right = int(torch.randint(7, (1,), generator=generator))
    shifted = padded[:, :, down : down + images.shape[2], right : right + images.shape[3]]
    bright = shifted * uniform(0.8, 1.2) + uniform(-0.15, 0.15)
    noise = torch.randn(bright.shape, generator=generator) * uniform(0.0, 0.03)
    return (bright + noise).clamp(-1, 1)


def distill(
    student: CompactNetwork,
    teacher: CompactNetwork,
    images: Tensor,
    steps: int,
    learning_rate: float = 1e-2,
    masks: dict[str, Tensor] | None = None,
    logits: Logits = CompactNetwork.logits,
) -> CompactNetwork:
    """`student` after `steps` of Adam towards `teacher`'s logits; both are left as they are.

    `images` `(N, 3, 24, 94)` need no labels. `masks` (OIHW, by convolution name) say which weights
    may not be zero; `logits` runs the student, quantized for example. `learning_rate` is relative
    to the magnitude of each layer's weights.
    """
    if steps == 0:
        return student
    generator = torch.Generator().manual_seed(0)
    weights = {name: weight.detach().clone() for name, weight in student.weights.items()}
    biases = {name: bias.detach().clone() for name, bias in student.biases.items()}
    rates = [
        {"params": [tensor.requires_grad_()], "lr": learning_rate * _magnitude(weights[name])}
        for tensors in (weights, biases)
        for name, tensor in tensors.items()
    ]
    adam = torch.optim.Adam(rates, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        adam, lambda step: min(1, (step + 1) / WARM_UP) * (1 + math.cos(math.pi * step / steps)) / 2
    )
    network = replace(student, weights=weights, biases=biases)
    for _ in trange(steps, desc="distilling", leave=False, disable=None):
        batch = mixed_plates(images, BATCH, generator)
        with torch.no_grad():
            target = teacher.logits(batch)
        answer = logits(network, batch)
        divergence = F.kl_div(
            answer.log_softmax(dim=1), target.log_softmax(dim=1), log_target=True, reduction="sum"
        )
        loss = divergence / (BATCH * answer.shape[2]) + SQUARED_ERROR * F.mse_loss(answer, target)
        adam.zero_grad()
        torch.autograd.backward(loss)
        adam.step()
        schedule.step()
        with torch.no_grad():
            for name, mask in (masks or {}).items():
                weights[name] *= mask
    return replace(
        student,
        weights={name: weight.detach() for name, weight in weights.items()},
        biases={name: bias.detach() for name, bias in biases.items()},
    )


def _magnitude(weight: Tensor) -> float:
    """Root mean square; Adam's steps are as large as its rate, whatever the weights are."""
    return max(float(weight.detach().square().mean().sqrt()), 1e-6)
