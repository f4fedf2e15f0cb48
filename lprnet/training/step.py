"""One step of training: losses, optimiser, slimming, moving average."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lprnet.distillation.augment import augment, normalised
from lprnet.distillation.losses import agreement, ctc_loss, divergence
from lprnet.model.lprnet import LPRNet
from lprnet.support.errors import UserError
from lprnet.training.data import Batch
from lprnet.training.device import Device
from lprnet.training.network_slimming import batch_norm, normed
from lprnet.training.recipe import Recipe, schedule
from lprnet.training.state import TrainState
from lprnet.training.teacher import Teacher


def train_step(
    state: TrainState, batch: Batch, recipe: Recipe, device: Device, teacher: Teacher | None = None
) -> float:
    """One optimiser step; the loss before it. Raises `UserError` where that is NaN or infinite."""
    rate = state.peak * schedule(recipe, state.step)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.model.train()
    images = views(batch.images, state.seed, state.step, device.device)
    with device.autocast():
        logits = logits_of(state.model, images)
    loss = loss_of(logits, batch, recipe, state.architecture.alphabet.blank, teacher, images)
    value = float(loss.detach())
    if not np.isfinite(value):
        raise UserError(
            f"the loss of step {state.step} is {value}: the run has diverged; start it again with "
            "other images, weights or another --seed"
        )
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(state.model.parameters(), recipe.clip)
    state.optimizer.step()
    if state.slimming:
        _shrink_scales(state.model, rate * state.slimming)
    state.step += 1
    state.update_average(recipe.average)
    return value


def views(images: Tensor, seed: int, step: int, device: torch.device) -> Tensor:
    """`(N, H, W, C)` uint8 as the normalised, augmented `(N, C, H, W)` of a step, channels last."""
    generator = torch.Generator(device)
    state = np.random.SeedSequence((seed, step, 4)).generate_state(1, np.uint64)
    generator.manual_seed(int(state[0] >> np.uint64(1)))
    contiguous = normalised(images.to(device)).contiguous()
    return augment(contiguous, generator).contiguous(memory_format=torch.channels_last)


def logits_of(model: LPRNet, images: Tensor) -> Tensor:
    """The model's logits, float32; the contexts of every second image are normalised by the mean of
    their own squares, those of the others by the mean over the batch.

    A float32 artifact takes the mean of each image, an integer one a constant: the network must
    read with both. Trained on the mean of each image alone, it leaves that mean free to differ a
    hundredfold between images, and then fails with the constant.
    """
    own = torch.arange(len(images), device=images.device).view(-1, 1, 1, 1) % 2 == 1
    normalised = []
    for context in model.contexts(images):
        squares = context.float().square().mean(dim=(1, 2, 3), keepdim=True)
        mean = torch.where(own, squares, squares.mean())
        normalised.append(context / mean.to(context.dtype))
    return model.logits(normalised).float()


def loss_of(
    logits: Tensor,
    batch: Batch,
    recipe: Recipe,
    blank: int,
    teacher: Teacher | None,
    images: Tensor,
) -> Tensor:
    """CTC on the labelled images. With a teacher, its divergence beside it: on labelled images
    where the teacher agrees with the label, on the others everywhere.
    """
    labelled = len(batch.lengths)
    labels = (batch.targets, batch.lengths, blank)
    ctc = ctc_loss(logits[:labelled], *labels)
    if teacher is None:
        return ctc
    answer = teacher.logits(images)
    where = torch.ones_like(answer[:, 0], dtype=torch.bool)
    where[:labelled] = agreement(answer[:labelled], *labels)
    return divergence(logits, answer, where) + recipe.ctc_beside_teacher * ctc


@torch.no_grad()
def _shrink_scales(model: LPRNet, amount: float) -> None:
    """Soft thresholding of the batch norms' scales."""
    for conv in normed(model.architecture):
        scale = batch_norm(model, conv).weight
        scale.copy_(F.softshrink(scale, amount))
