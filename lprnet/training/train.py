"""A training run: AdamW, warm-up / stable / decay, moving average, killable at any moment.

The schedule holds its peak until the last part of the run and then falls linearly to zero (Hägele
et al., "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations",
arXiv:2405.18392), so a resumed run may be given more steps. From random weights the batch-norm
scales are pulled towards zero by soft thresholding, the proximal form of network slimming's L1
penalty (arXiv:1708.06519): unused channels become exactly 0.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from lprnet.model.checkpoint import save_model
from lprnet.model.lprnet import LPRNet
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.support.atomic_file import made_folder
from lprnet.support.cli import note
from lprnet.support.errors import UserError
from lprnet.training.begin import begin
from lprnet.training.data import batches
from lprnet.training.device import Device, choose_device
from lprnet.training.log import open_log
from lprnet.training.material import Material, Sources, gather
from lprnet.training.progress import Progress
from lprnet.training.recipe import Recipe
from lprnet.training.state import TrainState, load, save
from lprnet.training.step import train_step

STATE, WEIGHTS, LOG = "state.pt", "lprnet.safetensors", "log.csv"
Show = Callable[[str], None]


@subnormals_as_zero()
def train(
    recipe: Recipe,
    directory: Path,
    sources: Sources | None = None,
    resume: bool = False,
    overwrite: bool = False,
    checkpoint: LPRNet | None = None,
    show: Show = tqdm.write,
) -> Path:
    """Train into `directory` and return its `lprnet.safetensors`, the averaged weights.

    Beside it, `state.pt` is renewed every `save_seconds`, `log.csv` gets one line per validation,
    and `plates/` holds the rendered plates. `resume` goes on from `state.pt`; its seed counts, not
    the recipe's. Raises `UserError` where there is nothing to resume, where `directory` holds a run
    and neither `resume` nor `overwrite` is set, where `sources` do not fit the network, where the
    run diverges, and where `directory` cannot be written.
    """
    device, sources = choose_device(), sources or Sources()
    if resume:
        state = load(directory / STATE, recipe, device.device)
        _check_sources(directory, state, sources)
    else:
        if not overwrite:
            _refuse_to_replace(directory)
        state = begin(recipe, checkpoint, device.device)
        state.learns_from = sources.options()
    with made_folder(directory):
        material = gather(sources, state, recipe, directory / "plates", device)
        note(f"training on {device.name}")
        _train_from(state, recipe, directory, material, device, show)
    return directory / WEIGHTS


def _check_sources(directory: Path, state: TrainState, sources: Sources) -> None:
    """The files may lie elsewhere now, as on another machine; without one it is another run."""
    if sources.options() != state.learns_from:
        before = " ".join(state.learns_from) or "rendered plates alone"
        raise UserError(
            f"the run in {directory} learns from {before}; resume it with the same options of "
            "--data, --teacher and --unlabelled"
        )


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
    material: Material,
    device: Device,
    show: Show,
) -> None:
    """The steps that are left, or as many as there is time for."""
    open_log(directory / LOG, state.step)
    workers = device.workers if recipe.workers is None else recipe.workers
    feed = batches(material.feed, state.step, recipe.steps, workers)
    progress = Progress(directory / LOG, material.validation, device, show)
    saved = time.monotonic()
    deadline = math.inf if recipe.minutes is None else saved + 60 * recipe.minutes
    bar = tqdm(
        feed, total=recipe.steps, initial=state.step, unit="step", mininterval=5.0, disable=None
    )
    for batch in bar:
        loss = train_step(state, batch, recipe, device, material.teacher)
        progress.add(loss, len(batch.images))
        bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        last = state.step == recipe.steps or time.monotonic() > deadline
        if last or state.step % recipe.validation_every == 0:
            progress.report(state)
        if last or time.monotonic() - saved > recipe.save_seconds:
            save(state, directory / STATE)
            save_model(state.averaged(), directory / WEIGHTS)
            saved = time.monotonic()
        if last:
            break
