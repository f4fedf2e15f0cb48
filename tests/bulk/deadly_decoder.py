"""A decoder that some images end, in every process that a test starts."""

from pathlib import Path

import cv2
import numpy as np
import pytest

DEADLY = """
import os, signal
try:
    import cv2
except ImportError:
    pass
else:
    decode = cv2.imdecode
    def deadly(content, flags):
        image = decode(content, flags)
        if image is not None and image.shape[:2] == (3, 7):
            os.kill(os.getpid(), signal.{name})
        return image
    cv2.imdecode = deadly
"""
"""Put before all else into each worker: a decoder that some images end."""


def deadly_decoder(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the decoder of new processes end them by the signal `name` at `deadly_png`."""
    (folder / "sitecustomize.py").write_text(DEADLY.format(name=name))
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{Path.cwd()}")


def deadly_png() -> bytes:
    """An image file that it ends at."""
    return cv2.imencode(".png", np.zeros((3, 7, 3), np.uint8))[1].tobytes()
