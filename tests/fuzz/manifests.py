"""Mutants of manifests, most of them with a digest that fits, read as an artifact's loader does."""

import copy
import json
import random

from lprnet.runtime import manifest as module
from lprnet.runtime.alphabet import CHINA, Alphabet
from lprnet.runtime.confidence import ConfidenceCalibration
from lprnet.runtime.image_format import ImageFormat
from lprnet.runtime.manifest import (
    KernelRecord,
    Manifest,
    Parity,
    TargetVersion,
    from_json,
    to_json,
)  # fmt: skip
from lprnet.support.errors import UserError
from tests.fuzz.parts import change_bytes
from tests.json_edits import REMOVED, edit, places

MAX_PEAK_KB = 300_000
VALUES: list[object] = [REMOVED, None, True, False, -1, 0, 1, 2, 3, 4, 64, 1 << 16, 1 << 32, 10**12]
VALUES += [
    10**40,
    1.5,
    -0.0,
    1e300,
    float("nan"),
    float("inf"),
    "",
    "run",
    "é",
    "\udc80",
    "😀",
    "\0",
]
VALUES += [[], {}, [1, 2, 3], [[]], {"a": 1}, ["a", "b"], "x" * 5000, [0] * 3000]


def seed() -> Manifest:
    """Of an artifact with two target versions, with all that a manifest may have."""
    kernels = (KernelRecord("conv3x1", 100, "auto", "4 rows", "broadwell"),) * 2
    versions = tuple(
        TargetVersion(
            name, f"run_{name}", ("avx2", "fma"), 4096, (1, 18, 72), ("A",), kernels,
            Parity(4, 1e-7, 4),
        )
        for name in ("broadwell", "cascadelake")
    )  # fmt: skip
    return Manifest(
        "int8", "portable", versions, "0" * 64, ImageFormat(), CHINA, "\udce9.pth", "1" * 64,
        (0.5, 1e-7, 1e22, 3.0), ("中.jpg",), 1000, {"numpy": "1"}, "whole channels",
        ConfidenceCalibration(1.5, -0.25, "plates", 100, 0.99),
    )  # fmt: skip


TEXT = to_json(seed()).encode()
SYMBOLS = ["A", "B", "-", "京", "é", "", "AB", "\n", '"', "😀"]


def mutate(rng: random.Random) -> tuple[str, bytes]:
    if rng.random() < 0.1:
        return "bytes", change_bytes(TEXT, rng)
    content = json.loads(TEXT)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        if rng.random() < 0.1 and isinstance(content.get("alphabet"), dict):
            content["alphabet"]["symbols"] = rng.choices(SYMBOLS, k=rng.randrange(6))
            content["alphabet"]["blank"] = rng.randrange(6)
        else:
            value = rng.choice(VALUES)
            value = value if value is REMOVED else copy.deepcopy(value)
            edit(content, rng.choice(places(content)), value)
    kind = "edited"
    if rng.random() < 0.9:
        kind = "signed"
        content.pop("digest", None)
        content["digest"] = module._digest(content)
    ascii_only = rng.random() < 0.5
    text = json.dumps(content, ensure_ascii=ascii_only, indent=rng.choice([None, 2]))
    changed = text.encode("utf-8", "surrogatepass")
    return kind, change_bytes(changed, rng) if rng.random() < 0.05 else changed


def read(kind: str, content: bytes) -> Manifest:
    try:
        return from_json(content)
    except ValueError as error:  # `read_manifest` makes this a UserError
        raise UserError(str(error)) from error


def check(kind: str, content: bytes, found: Manifest) -> str | None:
    """What is accepted was signed, and means the same when it is written again."""
    if kind == "edited" and found != seed():
        return "accepted, although its digest is of other content"
    if from_json(to_json(found).encode("utf-8", "surrogatepass")) != found:
        return "another manifest when it is written and read again"
    if not isinstance(found.alphabet, Alphabet) or len(set(found.alphabet.symbols)) < 2:
        return "accepted with an alphabet that decides no text"
    return None
