"""A recognizer whose calls say when each step of the artifact ended."""

import ctypes

import numpy as np

from lprnet.runtime.arrays import NDArray
from lprnet.runtime.artifact import Artifact, load
from lprnet.runtime.manifest import STAMPED
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError


class StampedRecognizer(Recognizer):
    """Reads plates as `Recognizer` does, by the function with stamps. One call at a time."""

    def __init__(self, artifact: Artifact) -> None:
        """Raises `UserError` as `Recognizer` does, and for an artifact without that function."""
        super().__init__(artifact)
        version = self.target_version
        if not version.steps:
            raise UserError(
                f"{artifact.path}: was not built to be profiled; build it again with "
                "lprnet build --profile."
            )
        code = load(artifact)
        self._run = code.function(version.function + STAMPED)
        values = ctypes.c_int64 * (len(version.steps) + 3)
        self._stamps = np.ctypeslib.as_array(values.from_address(code.integer("run_stamps")))

    def stamps(self) -> NDArray[np.int64]:
        """Of the last call with one image, `(steps + 3,)`, the CPU's time-stamp counter: when the
        artifact was called, when its target version began, after each of `target_version.steps`,
        and when the artifact returned.
        """
        called, returned, *version = self._stamps
        return np.array([called, *version, returned])
