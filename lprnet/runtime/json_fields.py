"""JSON values as dataclasses, each field checked against its annotation.

Known are str, int, float, bool, tuple[X, ...], list[X], dict[str, X], X | None, Any and dataclasses
of these. A field without a value in JSON has its default; a value without a field is passed over.
"""

import dataclasses
import math
import types
from typing import Any, TypeVar

Value = TypeVar("Value")

MAX_INTEGER = 1 << 62


def decode(kind: type[Value], content: Any, name: str = "it") -> Value:
    """`content`, parsed JSON, as the dataclass `kind`.

    Raises `ValueError` with a clause that names the first bad field.
    """
    if not isinstance(content, dict):
        raise ValueError(f"{name} is no object")
    values = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.name in content:
            values[field.name] = _value(field.type, content[field.name], field.name)
        elif field.default is dataclasses.MISSING:
            raise ValueError(f"it lacks {field.name}")
    return kind(**values)


def _value(annotation: Any, value: Any, name: str) -> Any:
    """`value` as `annotation` says. Raises `ValueError`."""
    if annotation is Any or (annotation is str and type(value) is str):  # as most are
        return value
    if isinstance(annotation, types.UnionType):
        kind, _ = annotation.__args__
        return None if value is None else _value(kind, value, name)
    if dataclasses.is_dataclass(annotation):
        return decode(annotation, value, name)  # type: ignore[arg-type]
    if isinstance(annotation, types.GenericAlias):
        kinds = annotation.__args__
        if annotation.__origin__ is tuple and isinstance(value, list):
            return tuple(_value(kinds[0], one, name) for one in value)
        if annotation.__origin__ is list and isinstance(value, list):
            return [_value(kinds[0], one, name) for one in value]
        if annotation.__origin__ is dict and isinstance(value, dict):
            return {key: _value(kinds[1], one, name) for key, one in value.items()}
    elif annotation is float and type(value) in (int, float) and _is_finite(value):
        return float(value)
    elif type(value) is annotation and (annotation is not int or 0 <= value <= MAX_INTEGER):
        return value
    raise ValueError(f"{name} is no {getattr(annotation, '__name__', annotation)}")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
