"""`lprnet build --distill`'s network: one that ships, one that is kept, or a new one."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lprnet.compression.compact import CompactNetwork
from lprnet.compression.distill.batches import step_plates
from lprnet.compression.distill.recipe import DEFAULT_STEPS, PLATES, Recipe
from lprnet.compression.distill.result import (
    cache_folder,
    network_key,
    read_result,
    recipe_key,
    shipped,
    shipped_instead_of_refit,
    write_result,
)
from lprnet.compression.distill.teacher import compiled_answers, torch_answers
from lprnet.compression.distill.train import on_device, train
from lprnet.compression.half_rows import halved
from lprnet.compression.prune.prune import structured
from lprnet.compression.reduced import ReducedNetwork
from lprnet.distillation.plate_cache import PlateCache
from lprnet.model.architecture import Architecture
from lprnet.model.preprocessing import normalise
from lprnet.model.published_lprnet import reads_as_published
from lprnet.support.atomic_file import check_writable
from lprnet.support.errors import UserError

REFITTED_ON = 150
"""Rendered plates that the cut is refitted on, beside the user's images."""


TRAINED_BYTES = 16_000_000
"""Of the state of a training and its result, at most."""


@dataclass(frozen=True)
class Distill:
    """What the user asked for."""

    steps: int | None = None
    """None: what ships for the checkpoint, or `DEFAULT_STEPS`."""


def distilled(
    teacher: ReducedNetwork,
    student: ReducedNetwork,
    checkpoint: Path,
    images: NDArray[np.uint8],
    widths: Mapping[str, int],
    steps: int | None,
) -> tuple[CompactNetwork, str]:
    """`student` cut to `widths` and trained towards `teacher`, which was read from `checkpoint`;
    and a sentence that says how. `student` is `teacher`, or has fewer rows of it (`half_rows.py`).

    `images` `(N, 24, 94, 3)` uint8 BGR are the user's. `steps` None: the file that ships for this
    checkpoint and these widths, or `DEFAULT_STEPS`. Raises `UserError` for a network that rendered
    plates cannot teach, and for a damaged or unwritable file of the cache.
    """
    architecture = student.architecture
    check_teachable(architecture, checkpoint)
    network = network_key(checkpoint.read_bytes(), architecture, widths)
    file = shipped(network) if steps is None else None
    if file is not None:
        return read_result(file, architecture), _named_before(file, teacher, architecture)
    check_cache()
    recipe = Recipe(DEFAULT_STEPS if steps is None else steps)
    version = PLATES.version()
    file = (
        cache_folder() / "distilled" / f"{recipe_key(network, recipe, version, images.tobytes())}"
    )
    trained_for = f"{recipe.steps:,} steps towards the unpruned network, plates {version}"
    how = f"{_left_out(teacher, architecture)}; {trained_for}"
    result = file.with_suffix(".safetensors")
    if not result.exists():
        state = file.with_suffix(".training")
        trained = _trained(teacher, student, checkpoint, images, widths, recipe, state)
        write_result(result, trained, {"network": network, "how": how})
    return read_result(result, architecture), how


def trained_before(reduced: ReducedNetwork, checkpoint: Path) -> tuple[CompactNetwork, str] | None:
    """What ships as the structured pruning of `reduced`, read from `checkpoint` and trained, and a
    sentence that says so; None where none ships. Of the first block it may have half of the rows.

    It stands for a refit in every arithmetic: a network without dead channels, such as the default
    one, loses too much when it is cut and refitted alone.
    """
    content = checkpoint.read_bytes()
    for architecture in (reduced.architecture, halved(reduced.architecture)):
        if architecture is not None:
            file = shipped_instead_of_refit(network_key(content, architecture, {}))
            if file is not None:
                return read_result(file, architecture), _named_before(file, reduced, architecture)
    return None


def _named_before(file: Path, whole: ReducedNetwork, architecture: Architecture) -> str:
    return f"{_left_out(whole, architecture)}; trained before: {file.name}"


def _left_out(whole: ReducedNetwork, architecture: Architecture) -> str:
    rows = "" if architecture == whole.architecture else " and half of the first block's rows"
    return f"whole channels{rows}"


def _trained(
    whole: ReducedNetwork,
    uncut: ReducedNetwork,
    checkpoint: Path,
    images: NDArray[np.uint8],
    widths: Mapping[str, int],
    recipe: Recipe,
    state: Path,
) -> CompactNetwork:
    """On a GPU where there is one."""
    cache = PlateCache(cache_folder() / "plates", PLATES, max(recipe.plates, REFITTED_ON))
    rendered, _ = cache.read(range(REFITTED_ON))
    own, refitted_on = (
        torch.from_numpy(normalise(one)) for one in (images, np.concatenate([images, rendered]))
    )
    student = structured(uncut.compact, refitted_on, widths)
    workers = max(1, len(os.sched_getaffinity(0)) - 1)
    plates = partial(step_plates, cache, recipe, workers=workers)
    run = partial(train, student, own=own, recipe=recipe, plates=plates, state=state)
    if torch.cuda.is_available():
        device = torch.device("cuda")
        teacher = partial(torch_answers, on_device(whole.compact, device))
        return run(teacher=teacher, device=device)
    with compiled_answers(whole, checkpoint, rendered) as answers:
        return run(teacher=answers, device=torch.device("cpu"))


def check_cache() -> None:
    """Raise `UserError` where what is trained could not be kept."""
    check_writable(cache_folder() / "distilled", TRAINED_BYTES)


def check_teachable(architecture: Architecture, checkpoint: Path) -> None:
    """Raise `UserError` for a network that rendered plates cannot teach."""
    if not reads_as_published(architecture.image_format, architecture.alphabet):
        raise UserError(
            f"{checkpoint} does not read China's plates as 94x24 BGR images, and no others are "
            "rendered to train on; leave out --distill"
        )
