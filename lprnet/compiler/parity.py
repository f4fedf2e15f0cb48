"""The last step of a build: does the artifact compute what torch computes?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.decode import greedy
from lprnet.support.errors import UserError

MAX_RELATIVE_ERROR = 1e-4
"""Of the largest logit; fp32 sums in another order come to about 1e-5."""


class ParityError(Exception):
    """The artifact does not compute what the model computes: a defect of the compiler."""


@dataclass(frozen=True)
class Parity:
    """How logits compare on the same images."""

    images: int
    relative_error: float
    """Largest difference of two logits over the largest logit."""
    same_plates: int


def compare(
    expected: NDArray[np.float32], found: NDArray[np.float32], alphabet: Alphabet
) -> Parity:
    """Compare two sets of logits `(N, classes, positions)`; raises `ParityError` where they differ
    too much.

    A plate may read differently only where torch itself was undecided, which the bound on the
    logits covers. Raises `UserError` where torch's own logits are no numbers.
    """
    if not np.isfinite(expected).all():
        raise UserError(
            "in PyTorch too the model's logits are NaN or infinite on plates; train or copy the "
            "checkpoint again"
        )
    scale = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
    error = float(np.abs(found - expected).max()) / scale
    plates = zip(greedy(expected, alphabet), greedy(found, alphabet), strict=True)
    same = sum(a.text == b.text for a, b in plates)
    if not error <= MAX_RELATIVE_ERROR:
        raise ParityError(
            f"the artifact's logits differ from torch's by {error:.1e} of the largest, more than "
            f"{MAX_RELATIVE_ERROR:.0e}; {same} of {len(expected)} plates read the same."
        )
    return Parity(len(expected), error, same)
