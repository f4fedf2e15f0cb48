"""What neighbouring cases have in common, done once: it is half of the product's CPU time.

A build prepares a network before it looks at the target, and reduces it before it looks at the
variant. So `prepare` is called once for two targets, and `reduce` once for all variants that are
calibrated on the same images. Nothing else is left out: each case is compiled, compared, timed and
read.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lprnet.compiler.network import CompilerInput
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.compression.variants import prepare
from lprnet.model.lprnet import LPRNet
from lprnet.runtime.decode import Logits


@contextmanager
def shared_work(images: int) -> Iterator[None]:
    """Within, builds share work. One without calibration is compared on so many rendered `images`,
    and every one is timed in so many rounds.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lprnet.compression.calibration.MAX_IMAGES", images)
        patch.setattr("lprnet.build.LATENCY_ROUNDS", images)
        patch.setattr("lprnet.build.prepare", lru_cache(maxsize=1)(_prepare))
        for module in ("variants", "compiler_inputs"):
            patch.setattr(f"lprnet.compression.{module}.reduce", _ReducedOnce())
        yield


def _prepare(*what: Any) -> tuple[CompilerInput, NDArray[np.uint8], list[Path]]:
    network, images, files = prepare(*what)
    return replace(network, expected=_computed_once(network.expected)), images, files


def _computed_once(logits: Logits) -> Logits:
    """`logits` of the same images each time."""
    found: list[NDArray[np.float32]] = []

    def once(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not found:
            found.append(logits(images))
        return found[0]

    return once


class _ReducedOnce:
    """`reduce`, which remembers the last network that it was called with."""

    def __init__(self) -> None:
        self._key = b""
        self._reduced: ReducedNetwork

    def __call__(self, model: LPRNet) -> ReducedNetwork:
        digest = hashlib.sha256(repr((model.architecture, model.context_means)).encode())
        for name, tensor in model.state_dict().items():
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        if digest.digest() != self._key:
            self._reduced, self._key = reduce(model), digest.digest()
        return self._reduced
