"""What a run learns from and is watched on, gathered for its network."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lprnet.distillation.plate_cache import PlateCache
from lprnet.distillation.training_plates import TrainingPlates
from lprnet.model.architecture import Architecture
from lprnet.model.published_lprnet import reads_as_published
from lprnet.runtime.image_io import read_image
from lprnet.runtime.image_paths import images_in
from lprnet.support.errors import UserError
from lprnet.training.data import Feed, fresh_plates
from lprnet.training.device import Device
from lprnet.training.labelled_images import HELD_OUT, LabelledImages, read_labelled
from lprnet.training.recipe import Recipe
from lprnet.training.state import TrainState
from lprnet.training.teacher import Teacher, load_teacher
from lprnet.training.validation import (
    CALIBRATION_IMAGES,
    SEED,
    Validation,
    calibration_of,
    rendered,
)

MAX_RENDERED = 300_000
"""Rendered plates that a run keeps, 2 GB; with more steps they come again, augmented otherwise."""
EASY_STEPS = 1500
"""Difficulty rises over these steps of a run from random weights."""


@dataclass(frozen=True)
class Sources:
    """What the user gives beside rendered plates; None: nothing."""

    labelled: Path | None = None
    """A folder of images named after their plates, or a CSV file."""
    unlabelled: Path | None = None
    """A folder of images for a teacher to read."""
    teacher: Path | None = None
    """A checkpoint."""

    def options(self) -> tuple[str, ...]:
        """The options that name what is given."""
        named = (
            ("--data", self.labelled),
            ("--teacher", self.teacher),
            ("--unlabelled", self.unlabelled),
        )
        return tuple(option for option, given in named if given is not None)


@dataclass(frozen=True)
class Material:
    """Batches, the network that teaches on them, and what the progress is watched on."""

    feed: Feed
    validation: Validation
    teacher: Teacher | None


def gather(
    sources: Sources, state: TrainState, recipe: Recipe, plates: Path, device: Device
) -> Material:
    """Read what `sources` name, for the network of `state`; rendered plates go into the folder
    `plates`. A network that reads China's plates at 94x24 learns from rendered ones too.

    A tenth of labelled images is held out for validation. Raises `UserError` for images, labels and
    a teacher that do not fit the network, and where there is nothing to learn from.
    """
    architecture = state.architecture
    model = None if sources.teacher is None else load_teacher(sources.teacher, architecture)
    if model is None and sources.unlabelled is not None:
        raise UserError("images without labels need a network that reads them; give --teacher")
    renders = reads_as_published(architecture.image_format, architecture.alphabet)
    labelled, held_out = _labelled(sources.labelled, state, renders)
    of_user = held_out is not None
    if renders:
        calibration = calibration_of(rendered(state.seed, CALIBRATION_IMAGES).images)
        held_out = held_out or rendered(SEED, recipe.validation_plates)
    else:
        assert labelled is not None
        calibration = calibration_of(labelled.images)
    assert held_out is not None
    feed = Feed(
        state.seed,
        recipe.batch,
        architecture.alphabet,
        _cache(state, recipe, plates) if renders else None,
        labelled,
        _unlabelled(sources.unlabelled, architecture),
    )
    teacher = None if model is None else Teacher(model, calibration, device)
    return Material(feed, Validation(held_out, calibration, of_user), teacher)


def _labelled(
    source: Path | None, state: TrainState, renders: bool
) -> tuple[LabelledImages | None, LabelledImages | None]:
    """The user's images to train on, and to validate on; None: none."""
    architecture = state.architecture
    if source is None:
        if renders:
            return None, None
        raise UserError(
            f"plates are rendered in China's alphabet at 94x24 alone, not in "
            f"{architecture.alphabet.name} at {architecture.width}x{architecture.height}; give "
            "labelled images with --data"
        )
    labelled, held_out = read_labelled(source, architecture).split(state.seed)
    if held_out.texts:
        return labelled, held_out
    if renders:
        return labelled, None
    raise UserError(
        f"{source} has {len(labelled.texts)} labelled images, too few to learn from; give at least "
        f"{HELD_OUT}, of which one is for validation"
    )


def _unlabelled(folder: Path | None, architecture: Architecture) -> NDArray[np.uint8] | None:
    if folder is None:
        return None
    image_format = architecture.image_format
    return np.stack([read_image(file, image_format=image_format) for file in images_in(folder)])


def _cache(state: TrainState, recipe: Recipe, folder: Path) -> PlateCache:
    """Easy plates come first where random weights learn."""
    fresh = fresh_plates(recipe.batch)
    fine_tuning = state.slimming == 0
    source = TrainingPlates(state.seed, easy_plates=0 if fine_tuning else EASY_STEPS * fresh)
    return PlateCache(folder, source, min(MAX_RENDERED, recipe.steps * fresh))
