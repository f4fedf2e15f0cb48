"""The constants of an artifact, which its functions for several targets share."""

import numpy as np

from lprnet.runtime.artifact import ALIGNMENT


class ConstantPool:
    """Interns constants: equal bytes are stored once."""

    def __init__(self) -> None:
        self.blob = bytearray()
        self._offsets: dict[bytes, int] = {}

    def intern(self, values: np.ndarray) -> int:
        """The byte offset of a constant, a multiple of `ALIGNMENT`; adds it if it is new."""
        content = values.tobytes()
        if content not in self._offsets:
            self.blob.extend(bytes(-len(self.blob) % ALIGNMENT))
            self._offsets[content] = len(self.blob)
            self.blob.extend(content)
        return self._offsets[content]
