"""Training: CTC on rendered plates, AdamW, warm-up / stable / decay, moving average, slimming.

CTC: Graves et al., "Connectionist Temporal Classification", ICML 2006. The schedule holds its peak
until the last part of the run and then falls linearly to zero (Hägele et al., "Scaling Laws and
Compute-Optimal Training Beyond Fixed Training Durations", arXiv:2405.18392), so a resumed run may
be given more steps. The batch-norm scales are pulled towards zero by soft thresholding, the
proximal form of network slimming's L1 penalty (arXiv:1708.06519): unused channels become exactly 0.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from lprnet.model.checkpoint import save_model
from lprnet.model.conv_graph import weight_and_bias
from lprnet.model.lprnet import LPRNet, calibrate_context_means
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.runtime.alphabet import CHINA
from lprnet.runtime.decode import greedy
from lprnet.support.atomic_file import made_folder
from lprnet.support.errors import UserError
from lprnet.synthetic.render import render
from lprnet.training.data import Batch, Item, batches, collate
from lprnet.training.log import append_log, open_log
from lprnet.training.network_slimming import (
    batch_norm,
    live_channels,
    narrow,
    normed,
    prune_at_init,
)
from lprnet.training.state import TrainState, load, save, start

STATE, WEIGHTS, LOG = "state.pt", "lprnet.safetensors", "log.csv"
VALIDATION_SEED = 1_000_003
"""Never a training seed; the plates that the progress is watched on."""
CALIBRATION_PLATES = 100


@dataclass(frozen=True)
class Recipe:
    """All that decides a run besides its data and the starting weights."""

    steps: int
    seed: int = 1
    batch: int = 32
    peak: float = 2e-3
    warmup: int = 200
    decaying: float = 0.3
    """Part of the run in which the rate falls to zero."""
    weight_decay: float = 0.02
    slimming: float = 0.02
    average: float = 0.998
    clip: float = 2.0
    validation_every: int = 500
    validation_plates: int = 500
    save_seconds: float = 30.0
    workers: int = 1


def learning_rate(recipe: Recipe, step: int) -> float:
    """The rate of step `step` (from 0): up over `warmup`, flat, down over the last `decaying`."""
    rising = (step + 1) / recipe.warmup
    falling = (recipe.steps - step) / (recipe.decaying * recipe.steps)
    return recipe.peak * min(1.0, rising, falling)


def initialise(model: LPRNet) -> None:
    """He initialisation of every convolution before a ReLU; four of a block's five have no norm."""
    for conv in model.architecture.backbone:
        weight, bias = weight_and_bias(model, conv.name)
        nn.init.kaiming_normal_(weight, nonlinearity="relu")
        nn.init.zeros_(bias)


def ctc_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Mean CTC loss per character of `(N, classes, positions)` logits in China's alphabet."""
    positions = torch.full((len(batch.lengths),), logits.shape[2])
    rows = logits.permute(2, 0, 1).log_softmax(2)
    return F.ctc_loss(
        rows, batch.targets, positions, batch.lengths, CHINA.blank, zero_infinity=True
    )


def logits_of(model: LPRNet, images: Tensor, whole_batch: bool) -> Tensor:
    """The model's logits, its contexts normalised over `whole_batch` or image by image."""
    if not whole_batch:
        per_image: Tensor = model(images)
        return per_image
    normalised = [context / context.square().mean() for context in model.contexts(images)]
    return model.logits(normalised)


@torch.no_grad()
def exact(model: LPRNet, plates: list[Item]) -> int:
    """How many of `plates` the model reads without any mistake."""
    right = 0
    for first in range(0, len(plates), 50):
        part = plates[first : first + 50]
        read = greedy(model(collate(part).images).numpy())
        right += sum(plate.text == text for plate, (_, text) in zip(read, part, strict=True))
    return right


def train_step(state: TrainState, batch: Batch, recipe: Recipe) -> float:
    """One optimiser step; the loss before it.

    Steps alternate between the two ways of normalising the contexts. A model trained on the mean of
    each image alone leaves that mean free to differ a hundredfold between images, and then fails
    with the constant that takes its place in a compiled network.
    """
    rate = learning_rate(recipe, state.step)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.model.train()
    images = batch.images.to(memory_format=torch.channels_last)
    loss = ctc_loss(logits_of(state.model, images, whole_batch=state.step % 2 == 1), batch)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(state.model.parameters(), recipe.clip)
    state.optimizer.step()
    with torch.no_grad():
        for conv in normed(state.model.architecture):
            scale = batch_norm(state.model, conv).weight
            scale.copy_(F.softshrink(scale, rate * recipe.slimming))
    state.step += 1
    state.update_average(recipe.average)
    return float(loss.detach())


def zero_scales(state: TrainState) -> int:
    """How many of the channels in training slimming has switched off."""
    convs = normed(state.model.architecture)
    scales = [batch_norm(state.model, conv).weight for conv in convs]
    return sum(int(torch.count_nonzero(scale == 0)) for scale in scales)


def validate(state: TrainState, plates: list[Item], calibration: Tensor) -> tuple[int, int]:
    """How many of `plates` the average reads with constant context means, and with per-image ones.

    The constants come from the images `(N, 3, 24, 94)` of `calibration`.
    """
    model = narrow(state.averaged(), state.live).eval()
    per_image = exact(model, plates)
    model.context_means = calibrate_context_means(model, calibration)
    return exact(model, plates), per_image


def begin(recipe: Recipe, checkpoint: LPRNet | None) -> TrainState:
    """A fresh run: random weights, pruned at initialisation, or `checkpoint` narrowed."""
    torch.manual_seed(recipe.seed)
    full = checkpoint or LPRNet()
    if checkpoint is None:
        prune_at_init(full)
    state = start(full, live_channels(full), recipe.seed, recipe.weight_decay)
    if checkpoint is None:
        initialise(state.model)
    return state


@subnormals_as_zero()
def train(
    recipe: Recipe,
    directory: Path,
    resume: bool = False,
    overwrite: bool = False,
    checkpoint: LPRNet | None = None,
    own: list[Item] | None = None,
    show: Callable[[str], None] = tqdm.write,
) -> Path:
    """Train into `directory` and return its `lprnet.safetensors`, the averaged weights.

    Beside it, `state.pt` is renewed every `save_seconds`, and `log.csv` gets one line per
    validation. `resume` goes on from `state.pt`; its seed counts, not the recipe's. Raises
    `UserError` where there is nothing to resume, where `directory` holds a run and neither `resume`
    nor `overwrite` is set, and where it cannot be written.
    """
    if resume:
        state = load(directory / STATE, recipe.weight_decay)
    else:
        if not overwrite:
            _refuse_to_replace(directory)
        state = begin(recipe, checkpoint)
    with made_folder(directory):
        _train_from(state, recipe, directory, own or [], show)
    return directory / WEIGHTS


def _refuse_to_replace(directory: Path) -> None:
    # A log alone is what a run leaves that ended before its first save.
    there = [name for name in (STATE, WEIGHTS) if (directory / name).exists()]
    if there:
        raise UserError(
            f"{directory} holds a training run ({', '.join(there)}); go on with it with --resume, "
            "replace it with --overwrite, or choose another --output"
        )


def _train_from(
    state: TrainState,
    recipe: Recipe,
    directory: Path,
    own: list[Item],
    show: Callable[[str], None],
) -> None:
    """The steps that are left."""
    open_log(directory / LOG, state.step)
    plates = [render(VALIDATION_SEED, i) for i in range(recipe.validation_plates)]
    calibration = collate([render(state.seed, i) for i in range(CALIBRATION_PLATES)]).images
    feed = batches(state.seed, state.step, recipe.steps, recipe.batch, own, recipe.workers)
    saved = time.monotonic()
    losses: list[float] = []
    bar = tqdm(
        feed, total=recipe.steps, initial=state.step, unit="step", mininterval=5.0, disable=None
    )
    for batch in bar:
        losses.append(train_step(state, batch, recipe))
        bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
        last = state.step == recipe.steps
        if last or state.step % recipe.validation_every == 0:
            right, per_image = validate(state, plates, calibration)
            mean = sum(losses) / len(losses)
            losses.clear()
            rate = state.optimizer.param_groups[0]["lr"]
            accuracies = (right / len(plates), per_image / len(plates))
            append_log(directory / LOG, (state.step, rate, mean, *accuracies, zero_scales(state)))
            show(f"step {state.step}: loss {mean:.4f}, {right} of {len(plates)} plates exact")
        if last or time.monotonic() - saved > recipe.save_seconds:
            save(state, directory / STATE)
            save_model(state.averaged(), directory / WEIGHTS)
            saved = time.monotonic()
