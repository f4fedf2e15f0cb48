"""Checkpoints in and out: `.pth` (weights only) and `.safetensors`, verified tensor by tensor."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from lprnet.model.alphabets import UnknownAlphabetError, alphabet_for, find_alphabet
from lprnet.model.architecture import Architecture
from lprnet.model.architecture_json import MAX_LENGTH, from_json, states_alphabet, to_json
from lprnet.model.checkpoint_content import MAX_BYTES, METADATA, read_content
from lprnet.model.fold_preprocessing import fold_preprocessing
from lprnet.model.infer_architecture import OPTIONAL, check_names, classes_of, infer_architecture
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import LPRNET_CHINA, reads_as_published
from lprnet.runtime.alphabet import Alphabet
from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError


@dataclass(frozen=True)
class Stated:
    """What a user says of a network and its tensors do not; None: as in the checkpoint's own
    description, or as in the published network.
    """

    architecture: Path | None = None
    """A JSON file (`architecture_json.py`)."""
    alphabet: str | Alphabet | None = None
    """A name of `alphabets.py`, a file, or the alphabet itself."""
    size: tuple[int, int] | None = None
    """Width and height of the image."""
    order: str | None = None
    """Of the channels that it was trained on, `bgr` or `rgb`."""


def load_model(path: Path, stated: Stated | None = None) -> LPRNet:
    """The model of `load_as_trained`, which raises the same, its normalisation of pixels folded
    into its weights (`fold_preprocessing.py`).
    """
    try:
        return fold_preprocessing(load_as_trained(path, stated))
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def load_model_reading(path: Path, alphabet: Alphabet) -> LPRNet:
    """As `load_model`, but a network of an alphabet that is not known reads `alphabet`. Raises
    `UnknownAlphabetError` where that has another number of classes.
    """
    try:
        return load_model(path)
    except UnknownAlphabetError as error:
        if error.classes != alphabet.classes:
            raise
        return load_model(path, Stated(alphabet=alphabet))


def load_as_trained(path: Path, stated: Stated | None = None) -> LPRNet:
    """The model in evaluation mode, its weights float32 exactly as stored (subnormals stay); it
    reads pixels as its architecture says.

    Accepts a state dict, bare or in a known wrapper, with or without a prefix of all names, in any
    floating-point dtype. What its tensors do not say is read from `stated`, then from the metadata
    of a `.safetensors` file or from `FILE.json` beside it, and is as in the published network
    otherwise.

    Raises `UserError` for a file that cannot be read and for tensors that are missing, unknown, of
    a shape that contradicts another's, of the wrong dtype, or not finite, and for a negative
    running variance. A running variance of zero is valid: weight decay drives dead channels there,
    and BatchNorm adds its epsilon.
    """
    state, metadata = read_content(path)
    tensors = _verified(state, path)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    base, alphabet = described(path, stated or Stated(), metadata)
    try:
        check_names(shapes, base)
        known = alphabet_for(classes_of(shapes), alphabet, path)
        model = LPRNet(infer_architecture(shapes, base, known))
        model.load_state_dict(model.state_dict() | tensors)
        return model.eval()
    except ValueError as error:
        raise UserError(f"{path} is no LPRNet checkpoint: {error}") from error


def load_china(path: Path) -> LPRNet:
    """`load_model` for what works on rendered plates, which are of China and 94x24.

    Raises `UserError` for a network of another alphabet or of other images too.
    """
    model = load_model(path)
    image, alphabet = model.architecture.image_format, model.architecture.alphabet
    if not reads_as_published(image, alphabet):
        raise UserError(
            f"{path} reads {image.width}x{image.height} {image.colours} images in the alphabet "
            f"{alphabet.name}; reports take networks that read 94x24 BGR images in the "
            "alphabet china alone"
        )
    return model


def save_model(model: LPRNet, path: Path) -> None:
    """Write the state dict as safetensors, its metadata being the architecture; `path` holds either
    the old file or the whole new one.

    Raises `UserError` where `path` cannot be written.
    """
    state = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_write(path) as partial:
        # Not `save_file`, which wraps the operating system's errors in its own.
        partial.write_bytes(save(state, {METADATA: to_json(model.architecture)}))


def described(
    path: Path, stated: Stated, metadata: str | None, has_pools: bool = False
) -> tuple[Architecture, Alphabet | None]:
    """What is said of the network in `path`, and its alphabet where that is said.

    Raises `UserError` for an architecture or an alphabet that cannot be read, and for pools that do
    not fit the images, unless the file has pools of its own, as a graph does.
    """
    beside = Path(f"{path}.json")
    source, text = path, metadata
    if stated.architecture is not None:
        source, text = stated.architecture, _text(stated.architecture)
    elif metadata is None and os.path.isfile(beside):  # its name may be too long for any file
        source, text = beside, _text(beside)
    base, alphabet = LPRNET_CHINA, None
    try:
        if text is not None:
            base = from_json(text)
            alphabet = base.alphabet if states_alphabet(text) else None
        if stated.size is not None:
            base = replace(base, width=stated.size[0], height=stated.size[1])
        if not has_pools:
            base.shapes()
        if stated.order is not None:
            base = replace(base, preprocessing=replace(base.preprocessing, order=stated.order))
    except ValueError as error:
        raise UserError(f"{source}: the architecture {error}") from error
    if isinstance(stated.alphabet, str):
        alphabet = find_alphabet(stated.alphabet)
    elif stated.alphabet is not None:
        alphabet = stated.alphabet
    return base, alphabet


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.read(MAX_LENGTH + 1)  # a longer one is refused for its length
    except OSError as error:
        raise UserError(f"cannot read the architecture {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no architecture: it is not UTF-8") from error


def _verified(state: Mapping[str, object], path: Path) -> dict[str, Tensor]:
    """`state` as float32, without step counters."""
    verified = {}
    values = 0
    for name, value in state.items():
        if name.endswith(OPTIONAL):
            continue
        if isinstance(value, Tensor) and value.is_quantized:
            raise UserError(
                f"{path}: {name} is {value.dtype}, quantized by torch; give the float state dict "
                "that it was made from"
            )
        if not isinstance(value, Tensor) or not value.is_floating_point():
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise UserError(f"{path}: {name} is {kind}, not a floating-point tensor")
        if value.layout is not torch.strided or value.is_meta or value.is_nested:
            kind = "a shape without values" if value.is_meta else "a sparse or nested tensor"
            raise UserError(f"{path}: {name} is {kind}; save it as a plain tensor")
        values += value.numel()
        if 4 * values > MAX_BYTES:  # one number can stand for a whole tensor
            raise UserError(f"{path} holds more numbers than an LPRNet; give an LPRNet checkpoint")
        try:
            verified[name] = value.float()
        except NotImplementedError as error:
            raise UserError(
                f"{path}: {name} is {value.dtype}, which PyTorch does not convert; save it in "
                "float32"
            ) from error
        if not verified[name].isfinite().all():
            raise UserError(f"{path}: {name} holds NaN or infinity; train or copy it again")
        if name.endswith(".running_var") and (verified[name] < 0).any():
            raise UserError(f"{path}: {name} holds a negative variance; train or copy it again")
    return verified
