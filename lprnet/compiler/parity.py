"""The last step of a build: compares the artifact's logits with torch's."""

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.decode import greedy
from lprnet.runtime.manifest import Parity
from lprnet.support.errors import UserError

MAX_RELATIVE_ERROR = 1e-4
"""Relative to the largest logit; float32 sums in another order differ by about 1e-5 of it."""
MAX_BF16_ERROR = 1e-2
"""The same in bf16. Where a sum lies between two values of 8 bits, another order rounds it to the
other one, which differs by 2**-8 of it.
"""


class ParityError(Exception):
    """The artifact does not compute what the model computes: a defect of the compiler."""


def compare_logits(
    expected: NDArray[np.float32],
    found: NDArray[np.float32],
    alphabet: Alphabet,
    max_error: float = MAX_RELATIVE_ERROR,
) -> Parity:
    """Compare two sets of logits `(N, classes, positions)`; raises `ParityError` if they differ by
    more than `max_error` of the largest.

    Within the bound on the logits a plate may be read differently only if two of torch's logits are
    almost equal. Raises `UserError` if torch's logits are not finite.
    """
    if not np.isfinite(expected).all():
        raise UserError(
            "the model's logits are NaN or infinite in PyTorch too; train or copy the "
            "checkpoint again"
        )
    scale = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
    error = float(np.abs(found - expected).max()) / scale
    plates = zip(greedy(expected, alphabet), greedy(found, alphabet), strict=True)
    same = sum(a.text == b.text for a, b in plates)
    if not error <= max_error:
        raise ParityError(
            f"the artifact's logits differ from torch's by {error:.1e} of the largest, more than "
            f"{max_error:.0e}; {same} of {len(expected)} plates read the same."
        )
    return Parity(len(expected), error, same)
