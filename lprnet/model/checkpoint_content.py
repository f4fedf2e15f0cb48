"""What a checkpoint file holds: named values, free of the wrappers that training scripts add.

Pickles are read without running any code that they hold (`weights_only`).
"""

import io
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from lprnet.model.pickle_bounds import check_pickle
from lprnet.support.errors import UserError
from lprnet.support.model_file import ModelFile

MAX_BYTES = 100 * 2**20
"""Fifty times LPRNet's size: what is larger is another file, and is not read into memory."""
MAX_HEADER = 2 * 2**20
"""Bytes of what a `.safetensors` file says of its tensors, each of which becomes an object: some
ten thousand, where LPRNet has 56."""
ZIP = b"PK\x03\x04"
"""How a `.pth` file starts that is an archive, as PyTorch decides it."""
PICKLE = "data.pkl"
"""How the name of an archive's member ends that is a pickle."""
OLDER_PICKLES = 5
"""At the start of a `.pth` file that is no archive: a number, a version, the machine, the content,
the names of storages."""
WRAPPERS = ("state_dict", "net_state_dict", "model", "lpr")
"""Keys that training scripts keep an LPRNet's state dict under."""
METADATA = "architecture"
"""The key of a `.safetensors` file's metadata with the architecture as JSON."""
FIRST = "backbone.0.weight"
"""What stands before it is a prefix of all names, as `DataParallel`'s `module.`."""
ALIASES = {"container.weight": "container.0.weight", "container.bias": "container.0.bias"}
"""Of networks whose container is the convolution itself."""
MAX_KEYS = 8
"""Of those that a message lists."""
MAX_NAME = 80
"""Characters of a name in a message."""
TRANSFORMER = frozenset({"localization", "fc_loc"})
"""Parts of the names of a spatial transformer's tensors."""
MAX_WRAPPERS = 4
"""One in another; more are none that a training script adds, and a dictionary can hold itself."""
CODE = re.compile(r"unsupported global(?:: global)? (\S+)", re.IGNORECASE)
"""In torch's own message: the first function or class that a pickle needs."""

Content = dict[str, object]


def read_content(path: Path) -> tuple[Content, str | None]:
    """The values of `path` by LPRNet's names, and its metadata's architecture if it has one.

    Raises `UserError` for a file that cannot be read, that needs code to be read, or that holds
    something else than an LPRNet's state dict, bare or in a wrapper.
    """
    check_size(path)
    metadata = None
    try:
        _check_inside(path)
        if ModelFile.of(path) is ModelFile.SAFETENSORS:
            with safe_open(path, framework="pt") as file:
                metadata = (file.metadata() or {}).get(METADATA)
                content: object = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch comments on odd pickles
                content = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except PermissionError as error:
        raise UserError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    except Exception as error:  # a hostile file can fail in any way its parser knows
        raise UserError(f"{path} {_why_unreadable(path, error)}") from error
    state = _without_wrapper(content, path)
    if any(_is_transformers(name) for name in state):
        raise UserError(
            f"{path} holds a spatial transformer (localization, fc_loc), which is not compiled; "
            "give the state dict of an LPRNet that was trained without one"
        )
    return {ALIASES.get(name, name): value for name, value in state.items()}, metadata


def transformer_beside(path: Path) -> bool:
    """Whether the `.pth` file `path`, which `read_content` reads, keeps a spatial transformer under
    another key than the LPRNet, as scripts do that train both.
    """
    if ModelFile.of(path) is not ModelFile.PICKLE:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = torch.load(path, map_location="cpu", weights_only=True)
    states = content.values() if isinstance(content, Mapping) else ()
    return any(
        _is_transformers(name) for state in states if isinstance(state, Mapping) for name in state
    )


def _is_transformers(name: object) -> bool:
    return not TRANSFORMER.isdisjoint(str(name).split("."))


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
    _check_bytes(path, "has", size)


def _check_inside(path: Path) -> None:
    """Raise `UserError` for a file that takes far more memory than it has bytes: compressed, or
    with a header of very many tensors. Raises as `zipfile` for a damaged archive and as
    `check_pickle` for a pickle.
    """
    with path.open("rb") as file:
        start = file.read(8)
        if ModelFile.of(path) is ModelFile.SAFETENSORS:
            header = int.from_bytes(start, "little")
            if MAX_HEADER < header < MAX_BYTES:  # a longer one is refused by its reader
                raise UserError(
                    f"{path} has more tensors than an LPRNet; give an LPRNet checkpoint"
                )
        elif start.startswith(ZIP):
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                _check_bytes(path, "unpacks to", sum(one.file_size for one in members))
                for one in members:
                    if one.filename.lower().endswith(PICKLE):  # PyTorch takes either case
                        check_pickle(io.BytesIO(archive.read(one)))
        else:
            file.seek(0)
            for _ in range(OLDER_PICKLES):
                if file.peek(1):  # a file that ends here is refused by its reader
                    check_pickle(file)


def _check_bytes(path: Path, has: str, size: int) -> None:
    if size > MAX_BYTES:
        raise UserError(
            f"{path} {has} {size / 2**20:.0f} MiB, and LPRNet checkpoints are below "
            f"{MAX_BYTES / 2**20:.0f} MiB; give an LPRNet checkpoint"
        )


def _why_unreadable(path: Path, error: Exception) -> str:
    """What `path` is instead of a checkpoint, and what to do."""
    with path.open("rb") as file:
        start = file.read(200).lstrip().lower()
    if start.startswith(b"<"):
        return "is a web page, not a checkpoint; download the file itself"
    if start.startswith(b"version https://git-lfs"):
        return "is a pointer to a file in Git LFS, not a checkpoint; get the file with git lfs pull"
    code = CODE.search(str(error))
    if code is not None or "TorchScript" in str(error):
        what = "its own, as TorchScript" if code is None else code[1][:MAX_NAME]
        return (
            f"needs code to be read ({what}): it holds a whole model, or a script's objects beside "
            "the weights, and code of a checkpoint is never run; load it where that code is known "
            "and save model.state_dict() alone"
        )
    return (
        "is not a readable checkpoint: it is truncated, or not a state dict "
        "(.safetensors, or .pth from torch.save(model.state_dict(), ...))"
    )


def _without_wrapper(content: object, path: Path) -> Content:
    """The state dict inside `content`, free of wrappers and of a prefix of all names."""
    for _ in range(MAX_WRAPPERS):
        if isinstance(content, Mapping):
            inside = (content.get(key) for key in WRAPPERS)
            content = next((one for one in inside if isinstance(one, Mapping)), content)
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise UserError(
            f"{path} holds a {type(content).__name__}, not a state dict of named tensors; "
            "save model.state_dict()"
        )
    if content and not any(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{path} holds {_keys(content)}")
    prefixes = [name.removesuffix(FIRST) for name in content if name.endswith(FIRST)]
    prefix = prefixes[0] if len(prefixes) == 1 else "module."
    return {name.removeprefix(prefix): value for name, value in content.items()}


def _keys(content: Mapping[str, object]) -> str:
    """The keys of a wrapper that is not known, and what to save instead."""
    listed = ", ".join(repr(key) for key in list(content)[:MAX_KEYS])
    more = f" and {len(content) - MAX_KEYS} more" if len(content) > MAX_KEYS else ""
    states = {
        key: value
        for key, value in content.items()
        if isinstance(value, Mapping) and any(isinstance(one, Tensor) for one in value.values())
    }
    networks = [key for key, state in states.items() if not all(map(_is_transformers, state))]
    found = f"under the keys {listed}{more} and no tensor of its own"
    if states and not networks:
        return (
            f"{found}; {', '.join(map(repr, states))} is a spatial transformer, which is not "
            "compiled: give the state dict of an LPRNet"
        )
    if not networks:
        return f"{found}, and none of them looks like a network; save model.state_dict()"
    looks = ", ".join(repr(key) for key in networks)
    return (
        f"{found}; {looks} looks like a network: save it alone, "
        f"torch.save(checkpoint[{networks[0]!r}], FILE)"
    )
