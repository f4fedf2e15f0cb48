"""Mutants of `.safetensors` and `.pth` checkpoints: headers, pickles, storages."""

import copy
import io
import json
import pickle
import random
import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from lprnet.model.checkpoint import load_model
from lprnet.model.checkpoint_content import METADATA
from lprnet.model.lprnet import LPRNet
from tests.fuzz.parts import NUMBERS, change_bytes
from tests.json_edits import REMOVED, edit, places

MAX_PEAK_KB = 1_000_000
VALUES: list[object] = [REMOVED, None, -1, 0, 1, 1 << 40, 1 << 63, 1.5, "", "F16", "BF16", "I64"]
VALUES += ["F64", "BOOL", "F8_E4M3", [], [0, 0], [-1, 4], [1, 1 << 62], {}, "x" * 3000, True]
_NAMED = (getattr(pickle, name) for name in dir(pickle) if name.isupper())
OPCODES: list[bytes] = [one for one in _NAMED if isinstance(one, bytes) and len(one) == 1]
GLOBALS = [b"cos\nsystem\n", b"cbuiltins\neval\n", b"ctorch\nzeros\n", b"ctorch\nFloatStorage\n"]
GLOBALS += [b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n"]


CORPUS = Path(__file__).with_name("corpus")
"""A narrow network with random weights in each form, by `python -m tests.fuzz.write_corpus`."""


@cache
def seeds() -> dict[str, bytes]:
    """One checkpoint of each kind."""
    kinds = (".safetensors", ".pth")
    return {kind: (CORPUS / f"narrow{kind}").read_bytes() for kind in kinds}


def mutate(rng: random.Random) -> tuple[str, bytes]:
    kind = rng.choice([".safetensors", ".pth"])
    content = seeds()[kind]
    if rng.random() < 0.1:
        return kind, change_bytes(content, rng)
    changed = _safetensors(content, rng) if kind == ".safetensors" else _pth(content, rng)
    return kind, changed[: rng.randrange(len(changed))] if rng.random() < 0.05 else changed


def _safetensors(content: bytes, rng: random.Random) -> bytes:
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    for _ in range(rng.choice([1, 1, 2, 3])):
        value = rng.choice(VALUES)
        value = value if value is REMOVED else copy.deepcopy(value)
        metadata = header.get("__metadata__")
        stated = metadata.get(METADATA) if isinstance(metadata, dict) else None
        if rng.random() < 0.3 and isinstance(stated, str) and stated[:1] == "{":
            architecture = json.loads(stated)
            if found := places(architecture):
                edit(architecture, rng.choice(found), value)
                metadata[METADATA] = json.dumps(architecture)
        elif found := places(header):
            edit(header, rng.choice(found), value)
    if rng.random() < 0.2:
        data = change_bytes(data, rng)
    text = json.dumps(header).encode()
    length = len(text) if rng.random() < 0.97 else rng.choice(NUMBERS)
    return length.to_bytes(8, "little") + text + data


def _pth(content: bytes, rng: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for _ in range(rng.choice([1, 1, 2, 3])):
        pickled = [name for name in members if name.endswith("data.pkl")]
        name = rng.choice(pickled if pickled and rng.random() < 0.7 else list(members))
        if name in pickled:
            members[name] = _pickle(members[name], rng)
        elif rng.random() < 0.2:
            del members[name]
        else:
            members[name] = change_bytes(members[name], rng)
        if not members:
            break
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return file.getvalue()


def _pickle(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    match rng.randrange(5):
        case 0:
            return content[:at] + rng.choice(OPCODES) + content[at + rng.randrange(2) :]
        case 1:
            return content[:at] + rng.choice(GLOBALS) + rng.choice([b"", b")R"]) + content[at:]
        case 2:
            end = at + rng.randrange(1, 60)
            return content[:at] + content[at:end] * rng.choice([0, 2, 50]) + content[end:]
        case _:
            return change_bytes(content, rng)


def read(kind: str, content: bytes) -> LPRNet:
    with TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder, f"it{kind}")
        path.write_bytes(content)
        return load_model(path)


def check(kind: str, content: bytes, found: LPRNet) -> str | None:
    """What was accepted computes numbers on an image of its size."""
    image = torch.zeros(1, *found.architecture.image_shape)
    if image.numel() > 1 << 20:
        return None
    with torch.no_grad():
        logits = found(image)
    expected = (1, found.architecture.classes, found.architecture.positions)
    return None if logits.shape == expected else f"logits of shape {tuple(logits.shape)}"
