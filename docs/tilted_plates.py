"""How many plates a network reads tilted, and how many of these upright again: the most that any
spatial transformer in front of it could gain.

    python docs/tilted_plates.py --checkpoint FILE --data plates/

An image of `--data`, named after its plate, is turned about its middle, and cut out by the upright
box around it, as a detector finds it. Upright again is what the inverse turn samples from the image
that the network reads, as a transformer does that knows the angle.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lprnet.compiler.network import torch_logits
from lprnet.model.checkpoint import load_model
from lprnet.runtime.decode import greedy
from lprnet.runtime.image_io import read_image
from lprnet.runtime.image_paths import images_in, label_of

PLATE = (440, 140)
"""Millimetres, a pixel each: the proportions of a plate of China."""
ANGLES = (0, 5, 10, 15)


def turned(image: NDArray[np.uint8], angle: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """`image` `(H, W, 3)`, stretched to a plate, turned by `angle` degrees, and cut out; and that
    upright again. Both have the size of `image`.
    """
    height, width = image.shape[:2]
    plate = cv2.resize(image, PLATE)
    turn = cv2.getRotationMatrix2D((PLATE[0] / 2, PLATE[1] / 2), angle, 1)
    cos, sin = abs(turn[0, 0]), abs(turn[0, 1])
    box = PLATE[0] * cos + PLATE[1] * sin, PLATE[0] * sin + PLATE[1] * cos
    # From the plate to the box around it, in pixels of the network's image.
    turn[:, 2] += (box[0] - PLATE[0]) / 2, (box[1] - PLATE[1]) / 2
    shrink = np.array([[width / box[0]], [height / box[1]]])
    spread = cv2.warpAffine(plate, turn, (round(box[0]), round(box[1])), borderMode=REPLICATED)
    tilted = cv2.resize(spread, (width, height), interpolation=cv2.INTER_AREA)
    grow = np.diag([PLATE[0] / width, PLATE[1] / height, 1.0])
    upright = cv2.warpAffine(
        tilted,
        (shrink * turn) @ grow,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=REPLICATED,
    )
    return tilted.astype(np.uint8), upright.astype(np.uint8)


REPLICATED = cv2.BORDER_REPLICATE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    model = load_model(options.checkpoint)
    alphabet, image_format = model.architecture.alphabet, model.architecture.image_format
    paths = images_in(options.data)
    labels = [label_of(path, alphabet) for path in paths]
    images = [read_image(path, image_format=image_format) for path in paths]
    print("degrees  tilted  upright again")
    for angle in ANGLES:
        both = [turned(image, angle) for image in images]
        rights = []
        for versions in zip(*both, strict=True):
            plates = greedy(torch_logits(model, np.stack(versions)), alphabet)
            rights.append(sum(p.text == t for p, t in zip(plates, labels, strict=True)))
        print(f"{angle:7}  {rights[0]:6}  {rights[1]:13}  of {len(paths)}")


if __name__ == "__main__":
    main()
