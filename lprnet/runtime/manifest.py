"""The manifest beside an artifact: a JSON object whose fields have types and ranges.

`digest` is the SHA-256 of all other fields, so that a damaged manifest is refused. The shared
object itself confirms its `contract`, so that no alphabet and no shape is used that it was not
compiled for. A field that is not known here is passed over: a newer lprnet may add some.
"""

import dataclasses
import json
import re
from collections.abc import Iterable
from typing import Any

from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.confidence import ConfidenceCalibration
from lprnet.runtime.image_format import ImageFormat
from lprnet.runtime.json_fields import decode
from lprnet.runtime.record import record
from lprnet.support.file_names import utf8_json
from lprnet.support.sha256 import sha256

FORMAT = 4
"""Incremented if a manifest changes so that an older runtime would misread it, or a newer one an
older manifest.
"""
MAX_EXTENT = 1 << 16
"""Most rows, columns, classes and positions; beyond is no LPRNet."""
MAX_ARENA = 1 << 32
"""Bytes."""
MAX_BYTES = 4 << 20
"""Of a manifest; one has about ten thousand."""


STAMPED = "_stamped"
"""Behind the name of a function that takes the time of its steps."""
PADDING = "zeros for "
"""A step that writes the zeros around a tensor has this before the name of the kernel that reads
it; all other steps are kernels.
"""


class FormatError(ValueError):
    """A manifest of another format."""


@record(frozen=True)
class KernelRecord:
    """One kernel of a target version."""

    kernel: str
    macs: int
    origin: str
    """Where its schedule is from, `manual` or `auto`."""
    tile: str
    """What stays in registers, in words."""
    tuned_for: str | None = None
    """The target whose tuning log an `auto` schedule comes from."""


@record(frozen=True)
class Parity:
    """The comparison of a target version's logits with torch's, of the same images."""

    images: int
    relative_error: float
    """Largest difference of two logits divided by the largest logit."""
    same_plates: int


@record(frozen=True)
class TargetVersion:
    """The network compiled for one target; an artifact has one or more (multiversioning)."""

    target: str
    function: str
    """Name of its function in the shared object."""
    cpu_flags: tuple[str, ...]
    """`/proc/cpuinfo` flags that it needs."""
    arena_bytes: int
    logits_shape: tuple[int, ...]
    """One image's stored output: (1, positions, classes padded to whole vectors)."""
    passes: tuple[str, ...]
    kernels: tuple[KernelRecord, ...]
    parity: Parity | None
    """None if the CPU that built it could not run it."""
    steps: tuple[str, ...] = ()
    """What a call does, in order, if the artifact was built to be profiled; otherwise empty."""

    def __post_init__(self) -> None:
        """Raises `ValueError` for a value that no artifact can have."""
        _require(re.fullmatch(r"[a-z0-9_]{1,64}", self.function), "its function has no name")
        _require(
            0 < self.arena_bytes <= MAX_ARENA and self.arena_bytes % 4 == 0,
            f"an arena has no {self.arena_bytes} bytes",
        )
        _require(
            len(self.logits_shape) == 3 and self.logits_shape[0] == 1,
            f"the shape of the logits is not {self.logits_shape}",
        )
        _require(
            all(0 < extent <= MAX_EXTENT for extent in self.logits_shape),
            f"the shape of the logits is not {self.logits_shape}",
        )


@record(frozen=True)
class Manifest:
    """The facts about one shared object."""

    variant: str
    """How the network was made smaller: `fp32`, `int8`, ..."""
    target: str
    """The target it was built for, a name of `lprnet/compiler/targets.py`."""
    target_versions: tuple[TargetVersion, ...]
    """From the least demanding to the most; a CPU runs the last one that it can."""
    artifact_sha256: str
    image: ImageFormat
    """What the artifact reads."""
    alphabet: Alphabet
    checkpoint: str
    """File name of the weights it was built from."""
    checkpoint_sha256: str
    context_means: tuple[float, ...] | None
    """Calibrated constants of the context norm, None if it is computed for each image."""
    calibration: tuple[str, ...]
    """File names of the images that any constant was calibrated on; at most 100."""
    macs: int
    built_with: dict[str, str]
    """Distributions of Python and their versions."""
    pruning: str | None = None
    """What was pruned, in words."""
    confidence: ConfidenceCalibration | None = None
    """How sure its plates are; None where nobody measured it: then CTC probabilities are given."""

    def __post_init__(self) -> None:
        """Raises `ValueError` where fields contradict each other."""
        _require(self.target_versions, "it has no target version")
        shapes = {version.logits_shape[:2] for version in self.target_versions}
        _require(len(shapes) == 1, "its target versions have logits of different shapes")
        _require(
            all(v.logits_shape[2] >= self.alphabet.classes for v in self.target_versions),
            f"its logits have fewer classes than the {self.alphabet.classes} of its alphabet",
        )
        _require(
            max(self.image.height, self.image.width) <= MAX_EXTENT,
            f"no image has the shape {self.image.shape}",
        )

    @property
    def contract(self) -> int:
        """What the shared object must confirm."""
        return contract(self.image, self.alphabet, self.target_versions)


def contract(image: ImageFormat, alphabet: Alphabet, versions: Iterable[TargetVersion]) -> int:
    """63 bits of a SHA-256 over what an artifact and its manifest must agree on: the images that it
    reads, its alphabet, and for each target version the function, arena, logits and CPU.
    """
    called = [
        [one.target, one.function, one.cpu_flags, one.arena_bytes, one.logits_shape]
        for one in versions
    ]
    content = [dataclasses.asdict(image), dataclasses.asdict(alphabet), called]
    return int.from_bytes(sha256(_canonical(content)).digest()[:8], "big") >> 1


def to_json(manifest: Manifest) -> str:
    """The text of a manifest, with its format and digest."""
    content = {"format": FORMAT, **dataclasses.asdict(manifest)}
    content["digest"] = _digest(content)
    return utf8_json(json.dumps(content, ensure_ascii=False, indent=2)) + "\n"


def from_json(text: bytes) -> Manifest:
    """The manifest of a text. Raises `FormatError` for one of another format, and `ValueError` with
    the reason for one that is damaged.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"it has over {MAX_BYTES:,} bytes")
    try:
        return _whole(json.loads(text))
    except RecursionError as error:  # the digest writes it again, which takes a level more
        raise ValueError("it is nested too deeply") from error


def _whole(content: Any) -> Manifest:
    """The manifest of parsed JSON. Raises as `from_json`."""
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    if content.get("format") != FORMAT or isinstance(content["format"], (bool, float)):
        raise FormatError(f"its format is not {FORMAT}")
    if content.pop("digest", None) != _digest(content):
        raise ValueError("its digest is that of other content")
    return decode(Manifest, content)


def _digest(content: dict[str, Any]) -> str:
    return sha256(_canonical(content)).hexdigest()


def _canonical(content: Any) -> bytes:
    """JSON in one form only, in ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _require(condition: object, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)
