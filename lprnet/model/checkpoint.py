"""Checkpoints in and out: `.pth` (weights only) and `.safetensors`, verified tensor by tensor."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from lprnet.model.lprnet import LPRNet
from lprnet.support.atomic_file import replacing
from lprnet.support.errors import UserError

MAX_BYTES = 100 * 2**20
"""Fifty times LPRNet's size: what is larger is another file, and is not read into memory."""

OPTIONAL = ".num_batches_tracked"
"""BatchNorm's step counter; inference never reads it and many exporters drop it."""


def load_model(path: Path) -> LPRNet:
    """The model in evaluation mode, its weights float32 exactly as stored (subnormals stay).

    Accepts a state dict, bare or under a `state_dict` or `model` key, with or without the
    `module.` prefix of `DataParallel`, in any floating-point dtype. Raises `UserError` for a file
    that cannot be read and for tensors that are missing, unknown, of the wrong shape or dtype, or
    not finite, and for a negative running variance. A running variance of zero is valid: weight
    decay drives dead channels there, and BatchNorm adds its epsilon.
    """
    model = LPRNet()
    state = _without_wrapper(_read(path), path)
    model.load_state_dict(_verified(state, model.state_dict(), path))
    return model.eval()


def save_model(model: LPRNet, path: Path) -> None:
    """Write the state dict as safetensors; `path` holds either the old file or the whole new one.

    Raises `UserError` where `path` cannot be written.
    """
    state = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    with replacing(path) as partial:
        # Not `save_file`, which wraps the operating system's errors in its own.
        partial.write_bytes(save(state))


def check_size(path: Path) -> None:
    """Raise `UserError` unless `path` is a file, not empty, and not far larger than LPRNet's."""
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise UserError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    if size is None:
        raise UserError(f"there is no checkpoint file {path}; check the path")
    if size == 0:
        raise UserError(f"{path} is empty, not a checkpoint; copy or download it again")
    if size > MAX_BYTES:
        raise UserError(
            f"{path} has {size / 2**20:.0f} MiB, and LPRNet checkpoints are below "
            f"{MAX_BYTES / 2**20:.0f} MiB; give an LPRNet checkpoint"
        )


def _read(path: Path) -> object:
    """The unpickled or mapped content of `path`, not yet looked at."""
    check_size(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch comments on odd pickles; the error says enough
            return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError as error:
        raise UserError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    except Exception as error:  # a hostile file can fail in any way its parser knows
        raise UserError(
            f"{path} is not a readable checkpoint: it is truncated, or not a state dict "
            "(.safetensors, or .pth from torch.save(model.state_dict(), ...))"
        ) from error


def _without_wrapper(content: object, path: Path) -> dict[str, object]:
    """The state dict inside `content`, free of `state_dict`/`model` keys and `module.` prefixes."""
    for wrapper in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise UserError(
            f"{path} holds a {type(content).__name__}, not a state dict of named tensors; "
            "save model.state_dict()"
        )
    return {name.removeprefix("module."): value for name, value in content.items()}


def _verified(
    state: dict[str, object], expected: dict[str, Tensor], path: Path
) -> dict[str, Tensor]:
    """`state` as float32, with `expected`'s step counters where `state` has none."""
    required = [name for name in expected if not name.endswith(OPTIONAL)]
    missing = [name for name in required if name not in state]
    if missing:
        raise UserError(
            f"{path} is no LPRNet checkpoint: it lacks {len(missing)} of LPRNet's "
            f"{len(required)} tensors, the first being {missing[0]}"
        )
    unknown = [name for name in state if name not in expected]
    if unknown:
        raise UserError(
            f"{path} is no LPRNet checkpoint: it holds {len(unknown)} tensors that LPRNet does "
            f"not have, the first being {unknown[0]}"
        )
    verified = dict(expected)
    for name, value in state.items():
        if name.endswith(OPTIONAL):
            continue
        if not isinstance(value, Tensor) or not value.is_floating_point():
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise UserError(f"{path}: {name} is {kind}, not a floating-point tensor")
        if value.shape != expected[name].shape:
            raise UserError(
                f"{path}: {name} has shape {tuple(value.shape)} and LPRNet's has "
                f"{tuple(expected[name].shape)}; the checkpoint is of another network"
            )
        verified[name] = value.float()
        if not verified[name].isfinite().all():
            raise UserError(f"{path}: {name} holds NaN or infinity; train or copy it again")
        if name.endswith(".running_var") and (verified[name] < 0).any():
            raise UserError(f"{path}: {name} holds a negative variance; train or copy it again")
    return verified
