"""The network of a case, of plain torch: its files, and what it computes."""

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lprnet.compression.calibration import read_images
from lprnet.model.alphabets import find_alphabet, read_alphabet
from lprnet.model.preprocessing import normalise
from lprnet.model.published_lprnet import lprnet
from lprnet.runtime.alphabet import CHINA
from lprnet.runtime.image_format import ImageFormat
from tests.other_networks.case import ALPHABETS, COLOURS, SCALES, SIZES, Case
from tests.third_party_lprnet import ThirdPartyLPRNet, seeded, state_of

PUBLISHED_WIDTHS = (64, 128, 256, 256, 256)
KNOWN = {"66": "china-no-io", "37": "latin", "11": "digits"}
"""The alphabet that a build takes by itself."""


class Network:
    """That of `case.network`, with its files in the empty `folder`."""

    def __init__(self, case: Case, folder: Path, photographs: int) -> None:
        width, height = SIZES[case.size]
        self.shape = height, width, COLOURS[case.colours]
        self.classes = ALPHABETS[case.alphabet]
        contexts = lprnet(CHINA, height, width).contexts
        widths = [round(SCALES[case.scale] * count) for count in PUBLISHED_WIDTHS]
        pools = [(one.kernel, one.stride) for one in contexts[:3]]
        self._torch = seeded(ThirdPartyLPRNet(self.classes, widths, self.shape[2], pools))
        self._logits: NDArray[np.float32] | None = None
        checkpoint = folder / "theirs.pth"
        torch.save(state_of(self._torch), checkpoint)
        self.flags = [f"--checkpoint={checkpoint}"]
        """Of a build: the checkpoint, and what its tensors do not say."""
        if case.size != "94x24":
            said = {"width": width, "height": height, "contexts": [vars(one) for one in contexts]}
            (folder / "architecture.json").write_text(json.dumps(said))
            self.flags.append(f"--architecture={folder / 'architecture.json'}")
        if case.alphabet in ("36+blank", "22"):
            symbols = "ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210"[: self.classes - 1]
            (folder / "symbols.txt").write_text("\n".join(("<blank>", *symbols)) + "\n")
            self.flags.append(f"--alphabet={folder / 'symbols.txt'}")
            self.alphabet = read_alphabet(folder / "symbols.txt")
        else:
            self.alphabet = find_alphabet(KNOWN[case.alphabet])
        self.photos = folder / "photos"
        """`photographs` images of noise."""
        self.photos.mkdir()
        rng = np.random.default_rng(0)
        for index in range(photographs):
            noise = rng.integers(0, 256, (40, 150, 3), np.uint8)
            cv2.imwrite(str(self.photos / f"{index}.png"), noise)

    def pixels(self, image_format: ImageFormat) -> NDArray[np.uint8]:
        """The photographs as an artifact of `image_format` reads them."""
        return read_images(sorted(self.photos.iterdir()), image_format)

    @torch.no_grad()
    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What torch computes, of the same `pixels` each time."""
        if self._logits is None:
            inputs = torch.from_numpy(normalise(pixels))
            self._logits = torch.cat([self._torch(one[None]) for one in inputs]).numpy()
        return self._logits
