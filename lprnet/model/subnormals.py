"""Numbers below float32's normal range: a third of the public checkpoint's weights, and the reason
that torch takes seven times as long for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def subnormals_as_zero() -> Iterator[None]:
    """Torch takes subnormals for 0 within, also as a decorator; the caller's setting comes back."""
    before = float(torch.tensor(1e-39) * 1) == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
