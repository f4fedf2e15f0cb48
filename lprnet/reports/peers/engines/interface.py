"""What the engines of this folder share. They import their own package and NumPy.

Each has `convert(source, target)`, which makes of an ONNX file the file that the engine loads, and
`load(file)`, which gives a `Bind`. `convert` takes paths, `load` the name of a file, for what only
types or `convert` need is not imported by a cold start, which ends with `load` and a call.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[np.float32]"
"""Normalised images `(N, 3, 24, 94)`, or logits `(N, 68, 18)`."""
Infer: TypeAlias = "Callable[[], Array]"
"""Computes the logits of the images that it is bound to, on one thread."""
Bind: TypeAlias = "Callable[[Array], Infer]"
