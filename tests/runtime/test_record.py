"""A record is a frozen dataclass, made without writing source code."""

import dataclasses
import pickle
from dataclasses import FrozenInstanceError, dataclass

import pytest

from lprnet.runtime.record import record


@record(frozen=True)
class Ours:
    """Two fields, one with a default."""

    first: int
    second: str = "b"

    def __post_init__(self) -> None:
        if self.first < 0:
            raise ValueError("negative")


@dataclass(frozen=True)
class Standard:
    """The same."""

    first: int
    second: str = "b"


def test_it_is_made_compared_and_shown_as_a_dataclass() -> None:
    for values, named in (((1,), {}), ((1, "c"), {}), ((), {"second": "c", "first": 1})):
        ours, standard = Ours(*values, **named), Standard(*values, **named)  # type: ignore[arg-type]
        assert vars(ours) == vars(standard)
        assert repr(ours).replace("Ours", "Standard") == repr(standard)
        assert hash(ours) == hash(standard)
        assert dataclasses.asdict(ours) == dataclasses.asdict(standard)
        assert pickle.loads(pickle.dumps(ours)) == ours
        assert dataclasses.replace(ours, first=2) == Ours(2, ours.second) != ours
    same: object = Standard(1)
    assert Ours(1) != same


def test_what_a_dataclass_refuses() -> None:
    for values, named in (((), {}), ((1, "b", 3), {}), ((1,), {"first": 1}), ((1,), {"third": 1})):
        with pytest.raises(TypeError):
            Standard(*values, **named)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            Ours(*values, **named)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="negative"):
        Ours(-1)
    with pytest.raises(FrozenInstanceError):
        Ours(1).first = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del Ours(1).first
