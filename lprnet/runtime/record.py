"""Frozen dataclasses for what a first read needs.

`dataclass` writes the source of six methods for each class and compiles it when the class is
imported: 4 million instructions, 1 ms of a start. These classes share one of each method.
`dataclasses.fields`, `replace` and `asdict` work on them.
"""

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["record"]

Class = TypeVar("Class")


class _Methods:
    """Those that a record has instead of written ones."""

    __dataclass_fields__: dict[str, dataclasses.Field[Any]]

    def __init__(self, *values: object, **named: object) -> None:
        fields = self.__dataclass_fields__
        given = dict(zip(fields, values, strict=False)) | named
        if len(given) < len(values) + len(named) or not given.keys() <= fields.keys():
            raise TypeError(f"{type(self).__name__} takes {', '.join(fields)}, each once")
        for name, field in fields.items():
            value = given.get(name, field.default)
            if value is dataclasses.MISSING:
                raise TypeError(f"{type(self).__name__} needs {name}")
            self.__dict__[name] = value
        check = getattr(self, "__post_init__", None)
        if check is not None:
            check()

    def __repr__(self) -> str:
        values = [f"{name}={self.__dict__[name]!r}" for name in self.__dataclass_fields__]
        return f"{type(self).__qualname__}({', '.join(values)})"

    def __eq__(self, other: object) -> bool:
        return _values(self) == _values(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(_values(self))

    def __setattr__(self, name: str, value: object) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _values(one: Any) -> tuple[Any, ...]:
    return tuple([one.__dict__[name] for name in one.__dataclass_fields__])


SHARED = ("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__")

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:

    def record(*, frozen: bool):
        """As `dataclass(frozen=True)`; no other option, and no default factory."""
        assert frozen

        def made(cls: type[Class]) -> type[Class]:
            for name in SHARED:
                setattr(cls, name, vars(_Methods)[name])
            return dataclasses.dataclass(init=False, repr=False, eq=False)(cls)

        return made
