"""What the engines of this folder share. They import their own package and NumPy.

Each has `convert(source, target)`, which makes of an ONNX file the file that the engine loads, and
`load(file)`, which gives a `Bind`.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
"""Normalised images `(N, 3, 24, 94)`, or logits `(N, 68, 18)`."""
Infer = Callable[[], Array]
"""Computes the logits of the images that it is bound to, on one thread."""
Bind = Callable[[Array], Infer]
