"""From a checkpoint and the flags of a build to what the compiler is given."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lprnet.compiler.network import CompilerInput, torch_logits
from lprnet.compression.calibration import (
    calibrate,
    calibration_files,
    check_rendered,
    read_images,
    rendered_images,
    with_rendered,
)
from lprnet.compression.compiler_inputs import (
    bf16_network,
    float_network,
    imported_network,
    pruned_network,
    static_network,
    weights_only_network,
)
from lprnet.compression.distill.distilled import (
    Distill,
    check_cache,
    check_teachable,
    distilled,
    trained_before,
)
from lprnet.compression.input_check import input_notes
from lprnet.compression.preprocessing_check import preprocessing_note
from lprnet.compression.prune.kept_widths import (
    Keep,
    fewer_rows,
    kept_to_train,
    pruned_to_widths,
)
from lprnet.compression.prune.measured_share import without_single_weights
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.model.checkpoint import Stated, load_as_trained, load_model
from lprnet.model.checkpoint_content import transformer_beside
from lprnet.model.lprnet import LPRNet
from lprnet.model.preprocessing import normalise
from lprnet.model.quantized import QuantizedLPRNet
from lprnet.onnx_import.load import load_onnx
from lprnet.support.errors import UserError
from lprnet.support.freed_memory import freed_memory_kept
from lprnet.support.model_file import ModelFile


def variant_name(
    checkpoint: Path, stated: Stated | None, quantized: str | None, pruned: str | None
) -> str:
    """The variant that `prepare` makes of them, in seconds. Raises `UserError` for a bad file."""
    is_onnx = ModelFile.of(checkpoint) is ModelFile.ONNX
    if is_onnx and isinstance(load_onnx(checkpoint, stated), QuantizedLPRNet):
        return "int8"
    names = {None: "fp32", "static": "int8", "weights": "int8-weights", "bf16": "bf16"}
    arithmetic = names[quantized]
    return _with_pruning(arithmetic, pruned)


def _with_pruning(variant: str, pruned: str | None) -> str:
    return f"{variant}-{pruned}" if pruned else variant


@freed_memory_kept()
def prepare(
    checkpoint: Path,
    calibration: Path | None,
    quantized: str | None,
    pruned: str | None = None,
    stated: Stated | None = None,
    distill: Distill | None = None,
    keep: Keep | None = None,
) -> tuple[CompilerInput, NDArray[np.uint8], list[Path]]:
    """The network to compile, images to compare it on, and the files it was calibrated on.

    `stated` is what is known of a checkpoint's network beside its tensors, `keep` what structured
    pruning leaves. Raises `UserError` for a bad checkpoint or image, and for `distill` or `keep`
    without structured pruning.
    """
    if distill is not None and pruned != "structured":
        raise UserError("--distill trains what --pruned=structured leaves of a network; add that")
    if keep is not None and pruned != "structured":
        raise UserError("--widths and --mmac say what --pruned=structured leaves; add that")
    model = _load(checkpoint, stated)
    if isinstance(model, QuantizedLPRNet):
        if calibration is not None or pruned or quantized not in (None, "static"):
            raise UserError(
                f"{checkpoint} is quantized already and built as it is; leave out --calibration, "
                "--pruned and --quantized, or give the float network it was made from"
            )
        network = replace(imported_network(model), notes=_frozen(checkpoint, model.model))
        return network, rendered_images(network.architecture.image_format), []
    files = [] if calibration is None else calibration_files(calibration)
    image_format = model.architecture.image_format
    images = read_images(files, image_format) if files else rendered_images(image_format)
    notes = (*_left_out(checkpoint), *(() if files else _frozen(checkpoint, model)))
    if (quantized or pruned) and not files:
        check_rendered(checkpoint, model.architecture.alphabet)
    if files or ((quantized or pruned) and model.context_means is None):
        calibrate(model, images)
    if files:
        notes = (*notes, *_input_notes(model, images, checkpoint, stated))
    original = partial(torch_logits, model) if quantized or pruned else None
    pruning = None
    if pruned in ("unstructured", "depth-aware"):
        model, pruning = without_single_weights(model, images, pruned)
    if not quantized and pruned != "structured":
        network = float_network(model)
    elif pruned == "structured":
        reduced, inputs = reduce(model), torch.from_numpy(normalise(images))
        calibrated_on = images
        if distill is not None:
            check_teachable(model.architecture, checkpoint)  # before a search
            if distill.steps is not None:
                check_cache()
            student, widths = kept_to_train(model, reduced, inputs, keep or Keep())
            asked = (reduced, student, checkpoint, images, widths, distill.steps)
            trained, pruning = distilled(*asked)
            narrow, calibrated_on = student.bind(trained), with_rendered(images, files)
        elif keep is None and (ready := trained_before(reduced, checkpoint)) is not None:
            trained, pruning = ready
            all_rows = trained.architecture == reduced.architecture
            same_rows = reduced if all_rows else fewer_rows(model)
            assert same_rows is not None, "half of the rows, or it would not have been found"
            narrow = same_rows.bind(trained)
        else:
            arithmetic = {"static": "int8", "bf16": "bf16"}.get(quantized or "", "float32")
            narrow, pruning = pruned_to_widths(reduced, inputs, keep or Keep(), arithmetic)
        rendered = distill is not None or not files
        network = _compressed(narrow, calibrated_on, rendered, quantized)
    else:
        network = _compressed(reduce(model), images, not files, quantized)
    variant = _with_pruning(network.variant, pruned)
    network = replace(network, variant=variant, pruning=pruning, original=original, notes=notes)
    return network, images, files


def _load(checkpoint: Path, stated: Stated | None) -> LPRNet | QuantizedLPRNet:
    if ModelFile.of(checkpoint) is ModelFile.ONNX:
        return load_onnx(checkpoint, stated)
    return load_model(checkpoint, stated)


def _input_notes(
    model: LPRNet, images: NDArray[np.uint8], checkpoint: Path, stated: Stated | None
) -> tuple[str, ...]:
    """What calibration images say of the network in `checkpoint`, of its pixels first."""
    if ModelFile.of(checkpoint) is not ModelFile.ONNX:  # an ONNX file has no batch norm any more
        note = preprocessing_note(load_as_trained(checkpoint, stated), images, checkpoint)
        if note is not None:
            return (note,)
    return input_notes(model, images, checkpoint)


def _left_out(checkpoint: Path) -> tuple[str, ...]:
    """What to say of a training checkpoint with a second network beside the LPRNet."""
    if not transformer_beside(checkpoint):
        return ()
    return (
        f"{checkpoint} holds a spatial transformer beside the LPRNet, which is left out; tilted "
        "plates are read worse than where it was trained",
    )


def _frozen(checkpoint: Path, model: LPRNet) -> tuple[str, ...]:
    """What to say of an ONNX file with constants as context means."""
    is_onnx = ModelFile.of(checkpoint) is ModelFile.ONNX
    if not is_onnx or set(model.context_means or (1.0,)) == {1.0}:
        return ()
    return (
        f"{checkpoint} divides its contexts by constants, which may be those of the one image that "
        "it was traced with; give images with --calibration to a build of the float network",
    )


def _compressed(
    reduced: ReducedNetwork, images: NDArray[np.uint8], rendered: bool, quantized: str | None
) -> CompilerInput:
    """`rendered`: there are rendered plates among the `images`."""
    match quantized:
        case "static":
            return static_network(reduced, images, winograd=rendered)
        case "weights":
            return weights_only_network(reduced, images)
        case "bf16":
            return bf16_network(reduced)
        case _:
            return pruned_network(reduced)
