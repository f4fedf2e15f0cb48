"""Arguments that several verbs take, and the values that they may have.

Each type raises `argparse.ArgumentTypeError`, so that a wrong value ends the command before any
work is done: inputs are there, outputs can be written, numbers make sense. Nothing is created.
"""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lprnet.support.atomic_file import why_not_writable
from lprnet.weights import DEFAULT_CHECKPOINT

if TYPE_CHECKING:
    from lprnet.model.checkpoint import Stated

TARGETS = (
    "native",
    "broadwell",
    "skylake-avx512",
    "cascadelake",
    "icelake-server",
    "sapphirerapids",
)
SCHEDULES = ("manual", "auto", "hybrid", "none")
SEARCHED = ("static", "weights")
"""What `tune` and `compare` take of them: no search knows the tile registers that bf16 needs."""
QUANTIZED = (*SEARCHED, "bf16")
PRUNED = ("structured", "unstructured", "depth-aware")
"""What a variant's two options take; the first is what they mean without a value."""
MAX_DISTILL_STEPS = 1_000_000
PICTURES = (".png", ".svg", ".pdf")
"""Endings that name the format of a drawing."""


def integer(least: int, most: int | None = None) -> Callable[[str], int]:
    """The type of a whole number from `least` to `most`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError as error:
            raise ArgumentTypeError(f"{text!r} is no whole number") from error
        if value < least or (most is not None and value > most):
            limits = f"at least {least}" if most is None else f"from {least} to {most}"
            raise ArgumentTypeError(f"{value} is out of range; give {limits}")
        return value

    return parse


def number(least: float, most: float) -> Callable[[str], float]:
    """The type of a number from `least` to `most`."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError as error:
            raise ArgumentTypeError(f"{text!r} is no number") from error
        if not least <= value <= most:  # nor NaN
            raise ArgumentTypeError(f"{text} is out of range; give {least:g} to {most:g}")
        return value

    return parse


def input_file(text: str) -> Path:
    """The type of a file to read."""
    path = _local(text)
    if os.path.isdir(path):
        raise ArgumentTypeError(f"{text} is a folder; name a file in it")
    if not os.path.exists(path):
        raise ArgumentTypeError(f"there is no file {text}; check the path")
    return path


def existing(text: str) -> Path:
    """The type of a file or a folder to read."""
    path = _local(text)
    if not os.path.exists(path):
        raise ArgumentTypeError(f"there is no file or folder {text}; check the path")
    return path


def input_folder(text: str) -> Path:
    """The type of a folder of images."""
    path = _local(text)
    if not os.path.isdir(path):
        what = "is not a folder" if os.path.exists(path) else "does not exist"
        raise ArgumentTypeError(f"{text} {what}; name a folder of images")
    return path


def output_file(*suffixes: str) -> Callable[[str], Path]:
    """The type of a file to write, with one of `suffixes` where any are given."""

    def parse(text: str) -> Path:
        path = _local(text)
        if suffixes and path.suffix.lower() not in suffixes:
            raise ArgumentTypeError(f"{text} does not end in {' or '.join(suffixes)}")
        if os.path.isdir(path):
            raise ArgumentTypeError(f"{text} is a folder; name a file in it")
        return _writable(path)

    return parse


def output_folder(text: str) -> Path:
    """The type of a folder to write into; it may be missing yet."""
    path = _local(text)
    if os.path.exists(path) and not os.path.isdir(path):
        raise ArgumentTypeError(f"{text} is not a folder; choose another place")
    return _writable(path)


def _writable(path: Path) -> Path:
    reason = why_not_writable(path)
    if reason:
        raise ArgumentTypeError(f"{path} cannot be written ({reason}); choose another place")
    return path


def _local(text: str) -> Path:
    if "://" in text:
        raise ArgumentTypeError(f"{text} is a URL; download it and give the path of the file")
    if not text or "\0" in text:
        raise ArgumentTypeError("the path is empty; name a file or folder")
    return Path(text)


def add_checkpoint(parser: ArgumentParser, help_text: str) -> None:
    """Let `parser` take `--checkpoint`."""
    parser.add_argument(
        "--checkpoint",
        type=input_file,
        default=DEFAULT_CHECKPOINT,
        metavar="FILE",
        help=f"{help_text} (default: the weights that ship)",
    )


def add_network(parser: ArgumentParser) -> None:
    """Let `parser` take what a checkpoint's tensors do not say of its network."""
    group = parser.add_argument_group("what the tensors of another LPRNet do not say")
    group.add_argument(
        "--alphabet",
        metavar="NAME|FILE",
        help="china, china-no-io, china-marks, latin, russia, digits, or a UTF-8 file with one "
        "symbol a line and <blank> for the blank (default: the known one with as many classes)",
    )
    group.add_argument(
        "--size", type=size, metavar="WxH", help="of the images it reads (default: 94x24)"
    )
    group.add_argument(
        "--channels",
        choices=("bgr", "rgb"),
        help="the order of colours that it was trained on (default: bgr, OpenCV's)",
    )
    group.add_argument(
        "--architecture",
        type=input_file,
        metavar="FILE",
        help="JSON with all of this, pools and normalisation, described in "
        "lprnet/model/architecture_json.py (default: FILE.json beside the checkpoint)",
    )


def stated(options: Namespace) -> "Stated":
    """What `add_network`'s flags say."""
    from lprnet.model.checkpoint import Stated

    return Stated(options.architecture, options.alphabet, options.size, options.channels)


def size(text: str) -> tuple[int, int]:
    """The type of an image's width and height."""
    width, cross, height = text.partition("x")
    if not (cross and width.isascii() and height.isascii()):
        raise ArgumentTypeError(f"{text!r} is no size; give width and height, as 94x24")
    return integer(1, 4096)(width), integer(1, 4096)(height)


def add_calibration(parser: ArgumentParser) -> None:
    """Let `parser` take `--calibration`."""
    parser.add_argument(
        "--calibration",
        type=input_folder,
        metavar="DIR",
        help="images to calibrate on; at most 100 are used, and no labels (default: rendered "
        "plates, where a build is quantized or pruned)",
    )


def add_variant(parser: ArgumentParser, quantized: Sequence[str]) -> None:
    """Let `parser` take `--quantized`, one of these, and `--pruned`; None where not given."""
    bf16 = "; or bf16: both in bfloat16, for CPUs with AMX" if "bf16" in quantized else ""
    parser.add_argument(
        "--quantized",
        nargs="?",
        const=quantized[0],
        choices=quantized,
        help="int8: weights and activations (static, meant where no value is given) or weights "
        f"alone{bf16} (default: float32)",
    )
    parser.add_argument(
        "--pruned",
        nargs="?",
        const=PRUNED[0],
        choices=PRUNED,
        help="whole channels (structured, meant where no value is given), the smallest 90 %% of "
        "all weights (unstructured), or 20, 90 and 90 %% of them by depth (depth-aware), fewer "
        "where the images show a loss (default: "
        "none is pruned)",
    )
