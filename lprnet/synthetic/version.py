"""Which renderer this is: what two of the same version draw is the same."""

from functools import cache
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np

from lprnet.runtime.plate_grammar import DIGITS, LETTERS, PROVINCES


@cache
def renderer_version() -> str:
    """A digest of the renderer's source and glyphs, and of the libraries that draw."""
    folder = Path(__file__).parent
    digest = sha256(f"{cv2.__version__} {np.__version__} {PROVINCES + DIGITS + LETTERS}".encode())
    for path in sorted((*folder.glob("*.py"), folder / "assets" / "glyphs.png")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
