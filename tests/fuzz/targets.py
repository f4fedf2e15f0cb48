"""What is fuzzed: each target makes mutants of what a user may give, and reads them."""

import random
from importlib import import_module
from typing import Any, Protocol

NAMES = ("images", "manifests", "checkpoints", "onnx_files", "boxes", "bulk_files")
"""Modules of this package."""


class Target(Protocol):
    """A module of `NAMES`."""

    MAX_PEAK_KB: int
    """The most memory that the process may hold while it reads one."""

    @staticmethod
    def mutate(rng: random.Random) -> tuple[str, bytes]:
        """What kind of mutant it is, and its content."""

    @staticmethod
    def read(kind: str, content: bytes) -> Any:
        """Read it as this project does; raises `UserError` where it is refused."""

    @staticmethod
    def check(kind: str, content: bytes, found: Any) -> str | None:
        """What is wrong with `found`, which `read` returned, by an independent reader."""


def find_target(name: str) -> Target:
    """The target called `name`."""
    module: Any = import_module(f"tests.fuzz.{name}")
    found: Target = module
    return found


def mutant(target: Target, number: int) -> tuple[str, bytes]:
    """Mutant `number` of all: the same in every process."""
    return target.mutate(random.Random(number))
