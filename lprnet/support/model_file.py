"""Which kind of file a network is in, by the ending of its name, in capitals or not."""

from enum import Enum
from pathlib import Path


class ModelFile(Enum):
    """The kinds of files, each with its usual ending."""

    ARTIFACT = ".so"
    ONNX = ".onnx"
    SAFETENSORS = ".safetensors"
    PICKLE = ".pth"
    """Of torch, which people call `.pt`, `.ckpt` and more: what has any other ending."""

    @classmethod
    def of(cls, path: Path) -> "ModelFile":
        """The kind of `path`, which need not exist."""
        ending = path.suffix.lower()
        return next((kind for kind in cls if kind.value == ending), cls.PICKLE)
