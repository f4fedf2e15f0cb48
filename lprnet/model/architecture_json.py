"""An architecture as JSON: `--architecture FILE`, `FILE.json` beside a checkpoint, and the metadata
of a `.safetensors` file.

Every field may be left out; it is then as in the published network (`LPRNET_CHINA`). The number of
channels of each convolution and of the image, and the kernels, are read from the tensors anyway:

    {
      "alphabet": {"name": "mine", "symbols": ["0", "1", "-"], "blank": 2, "grammar": "[01]{4}"},
      "height": 24, "width": 160, "channels": 3,
      "preprocessing": {"order": "bgr", "offset": [127.5], "scale": [0.0078125],
                        "fit": "stretch", "border": 0},
      "backbone": [{"name": "backbone.0", "out_channels": 64, "kernel": [3, 3], "padding": [0, 0],
                    "norm": "backbone.1", "pool": null, "row_stride": 1},
                   {"name": "backbone.4.block.0", "out_channels": 32, "kernel": [1, 1],
                    "pool": {"channel_step": 1, "kernel": [3, 3], "stride": [1, 1],
                             "row_repeat": 1}}],
      "contexts": [{"of": "backbone.0", "kernel": [5, 5], "stride": [5, 5]}]
    }
"""

import itertools
import json
from dataclasses import MISSING, asdict, fields
from typing import Any, TypeVar

from lprnet.model.architecture import Architecture, Context, Conv, MaxPool
from lprnet.model.pixel_format import Preprocessing
from lprnet.model.published_lprnet import LPRNET_CHINA
from lprnet.runtime.alphabet import Alphabet

MAX_EXTENT = 4096
"""Rows, columns, channels and steps beyond this are a mistake, not an LPRNet."""
MAX_REPEAT = 2
"""Of a row that a pool reads."""
MAX_LENGTH = 1 << 20
"""Characters; an architecture has about three thousand."""
MAX_LAYERS = 200
"""Convolutions, or contexts; LPRNet has 15 and 4."""

Value = TypeVar("Value")


def to_json(architecture: Architecture) -> str:
    """`architecture` with every field."""
    return json.dumps(asdict(architecture), ensure_ascii=False)


def from_json(text: str) -> Architecture:
    """The architecture of a JSON text, its fields checked one by one; whether its pools fit its
    images is what `Architecture.shapes` says.

    Raises `ValueError` with a sentence that names the first bad field.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"has over {MAX_LENGTH:,} characters")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON ({error})") from error
    try:
        architecture = _record(Architecture, content, "", LPRNET_CHINA)
    except RecursionError as error:  # a sentence quotes what is wrong, which takes a level more
        raise ValueError("is nested too deeply") from error
    names = [conv.name for conv in architecture.backbone]
    norms = [conv.norm for conv in architecture.backbone if conv.norm is not None]
    contexts = [context.of for context in architecture.contexts]
    for name in (*names, *norms, *contexts):
        if (names + norms).count(name) > 1 or contexts.count(name) > 1:
            raise ValueError(f"names {name!r} twice")
    unknown = [name for name in contexts if name not in names]
    if unknown:
        raise ValueError(
            f"has the context of {unknown[0]!r}, which is no convolution of its backbone"
        )
    if not contexts:  # then its backbone may be empty too
        raise ValueError("has no context; the container reads one at least")
    return architecture


def states_alphabet(text: str) -> bool:
    """Whether a text that `from_json` accepts names the alphabet itself."""
    return "alphabet" in json.loads(text)


def _record(kind: type[Value], content: Any, where: str, default: Value | None = None) -> Value:
    """A JSON object as the dataclass `kind`; a field that is left out is as in `default`, or as the
    dataclass itself has it.
    """
    if not isinstance(content, dict):
        what = where.rstrip(".") or "its content"
        raise ValueError(f"has {_found(content)} as {what}, not an object")
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    unknown = [name for name in content if name not in known]
    if unknown:
        raise ValueError(
            f"has the field {where}{unknown[0]!r}, which is none of {', '.join(known)}"
        )
    values: dict[str, Any] = {}
    for name, field in known.items():
        if name in content:
            values[name] = _field(name, content[name], f"{where}{name}")
        elif default is not None:
            values[name] = getattr(default, name)
        elif field.default is MISSING:
            raise ValueError(f"lacks the field {where}{name}")
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"has {where.rstrip('.') or 'a value'} that is wrong: {error}") from error


def _field(name: str, value: Any, where: str) -> Any:
    """The value of the field called `name`, whatever the object it is in."""
    match name:
        case "alphabet":
            return _record(Alphabet, value, f"{where}.")
        case "preprocessing":
            return _record(Preprocessing, value, f"{where}.")
        case "pool":
            return None if value is None else _record(MaxPool, value, f"{where}.")
        case "backbone" | "contexts":
            kind: type[Conv] | type[Context] = Conv if name == "backbone" else Context
            if len(_list(value, where)) > MAX_LAYERS:
                raise ValueError(f"has {len(value)} layers as {where}, more than {MAX_LAYERS}")
            return tuple(
                _record(kind, one, f"{where}[{index}].") for index, one in enumerate(value)
            )
        case "height" | "width" | "channels" | "out_channels" | "channel_step" | "row_stride":
            return _integer(value, where, 1)
        case "row_repeat":
            return _integer(value, where, 1, MAX_REPEAT)
        case "blank" | "border":
            return _integer(value, where, 0)
        case "kernel" | "stride" | "padding":
            return _pair(value, where, 0 if name == "padding" else 1)
        case "symbols":
            return tuple(_text(one, where) for one in _list(value, where))
        case "offset" | "scale":
            return tuple(_number(one, where) for one in _list(value, where))
        case "norm" | "grammar":
            return None if value is None else _text(value, where)
        case "selection":
            return None if value is None else _rising(value, where)
        case _:  # names, orders, fits
            return _text(value, where)


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"has {_found(value)} as {where}, not a list")
    return value


def _pair(value: Any, where: str, least: int) -> tuple[int, int]:
    if len(_list(value, where)) != 2:
        raise ValueError(f"has {_found(value)} as {where}, not two numbers: rows and columns")
    return _integer(value[0], where, least), _integer(value[1], where, least)


def _rising(value: Any, where: str) -> tuple[int, ...]:
    numbers = tuple(_integer(one, where, 0) for one in _list(value, where))
    if not numbers or any(one >= other for one, other in itertools.pairwise(numbers)):
        raise ValueError(f"has {_found(value)} as {where}, not numbers of channels that rise")
    return numbers


def _integer(value: Any, where: str, least: int, most: int = MAX_EXTENT) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(
            f"has {_found(value)} as {where}, not a whole number from {least} to {most}"
        )
    return value


def _number(value: Any, where: str) -> float:
    if type(value) not in (int, float) or not abs(value) < 1e6:
        raise ValueError(f"has {_found(value)} as {where}, not a number from -1e6 to 1e6")
    return float(value)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"has {_found(value)} as {where}, not a text")
    return value


def _found(value: Any) -> str:
    """A JSON value, cut short for a sentence."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."
