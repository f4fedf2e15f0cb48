"""Write labelled plates of a made-up country, to try training on another alphabet with.

python docs/latin_plates.py plates/ --count 500
"""

from argparse import ArgumentParser
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.plate_grammar import DIGITS, LETTERS
from lprnet.synthetic.augment import photograph
from lprnet.synthetic.render import Kind, draw

LEFTS = (22, 79, 146, 203, 260, 327, 384)
KIND = Kind(440, LEFTS, (45,) * 7, 0, (240, 240, 240), (25, 25, 20), 1.0)
"""Dark on white, AB 123 CD, with gaps where the kind of character changes."""
ALPHABET = (*DIGITS, *LETTERS, "<blank>", "<grammar> [A-HJ-NP-Z]{2}[0-9]{3}[A-HJ-NP-Z]{2}")
"""The lines of its file: I and O are not used, as in China."""


def plate(seed: int, index: int, difficulty: float = 1.0) -> tuple[NDArray[np.uint8], str]:
    """Plate number `index` of `seed`: a `(24, 94, 3)` uint8 BGR image and its text."""
    rng = np.random.default_rng((seed, index))
    letters = [LETTERS[number] for number in rng.integers(len(LETTERS), size=4)]
    digits = [DIGITS[number] for number in rng.integers(10, size=3)]
    text = "".join([*letters[:2], *digits, *letters[2:]])
    return photograph(rng, draw(rng, KIND, text), difficulty), text


def write(folder: Path, count: int, seed: int) -> None:
    """`count` plates named after their texts, and their alphabet in `folder`.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.with_suffix(".txt").write_text("\n".join(ALPHABET) + "\n", "utf-8")
    for index in range(count):
        image, text = plate(seed, index)
        cv2.imwrite(str(folder / f"{text}_{index}.png"), image)


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    write(options.folder, options.count, options.seed)
