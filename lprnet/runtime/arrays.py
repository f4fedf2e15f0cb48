"""`numpy.typing.NDArray` without that module, which only type checkers need: 1 ms of a start."""

from typing import Any, TypeVar

import numpy as np

Scalar = TypeVar("Scalar", bound=np.generic)
NDArray = np.ndarray[tuple[Any, ...], np.dtype[Scalar]]
"""An array of any shape and of one kind of scalars."""
