"""Random LPRNets: classes, sizes, colours, widths, pools, kernels and contexts of no known network.

In the spirit of NNSmith (Liu et al., ASPLOS 2023): what a compiler is given is drawn from all that
it accepts, not from what somebody thought of.
"""

import random
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from lprnet.compiler.targets import TARGETS
from lprnet.model.architecture import Architecture, Context, Conv, MaxPool
from lprnet.model.lprnet import LPRNet
from lprnet.model.pixel_format import Preprocessing
from lprnet.model.published_lprnet import resized
from lprnet.runtime.alphabet import Alphabet
from tests.random_lprnet import random_lprnet

VARIANTS = ("fp32", "weights", "static")
IMAGES = 2
"""That a case is calibrated and compared on."""
SMALL = 0.8
"""The share of small networks: they have what the others have, in a third of the time."""


@dataclass(frozen=True)
class RandomCase:
    """Case `number` of all: the same in every process."""

    number: int
    architecture: Architecture
    per_image: bool
    """Its contexts are normalised by each image, which is for float32 alone."""
    targets: tuple[str, ...]
    """Of each of `VARIANTS`."""
    variant: str
    """The one of which code is generated."""

    @property
    def target(self) -> str:
        """That of `variant`."""
        return self.targets[VARIANTS.index(self.variant)]

    def model(self) -> LPRNet:
        """With random weights; in some networks a share of the channels is dead."""
        rng = random.Random(-1 - self.number)
        model = random_lprnet(self.architecture, self.number)
        _kill_channels(model, rng.choice([0.0, 0.0, 0.2, 0.6]))
        return model.eval()

    def pixels(self) -> NDArray[np.uint8]:
        """Noise, `(IMAGES, H, W, C)`."""
        rng = np.random.default_rng(self.number)
        shape = (IMAGES, *self.architecture.image_format.shape)
        return rng.integers(0, 256, shape, np.uint8)


def random_case(number: int) -> RandomCase:
    """Sizes that leave nothing of an image are drawn again."""
    rng = random.Random(number)
    while True:
        try:
            architecture = _architecture(rng)
        except ValueError:
            continue
        targets = tuple(rng.choice(TARGETS).name for _ in VARIANTS)
        # Static int8 twice as often: most of the passes and kernels are for it.
        variant = rng.choice(["fp32", "weights", "static", "static"])
        per_image = variant == "fp32" and rng.random() < 0.5
        return RandomCase(number, architecture, per_image, targets, variant)


def _architecture(rng: random.Random) -> Architecture:
    small = rng.random() < SMALL
    widest = rng.choice([4, 8, 16] if small else [8, 24, 48])
    classes = rng.randint(4, 20 if small else 70)
    alphabet = Alphabet("drawn", tuple(map(chr, range(0x4E00, 0x4E00 + classes))), classes - 1)
    convs = [Conv("backbone.0", rng.randint(2, widest), (3, 3), norm=_norm(rng, "backbone.1"))]
    for block in range(rng.choice([1, 1, 1, 2] if small else [1, 1, 2, 3])):
        convs += _block(rng, f"backbone.{4 * (block + 1)}", rng.randint(4, widest), convs[-1])
    pool = _pool(rng, convs[-1].out_channels)
    columns, rows = rng.randint(1, 5), rng.choice([1, 3, 5, 13])
    last, norms = rng.randint(2, widest), [_norm(rng, f"backbone.{at}") for at in (17, 21)]
    convs.append(Conv("backbone.16", last, (1, columns), norm=norms[0], pool=pool))
    convs.append(Conv("backbone.20", classes, (rows, 1), norm=norms[1]))
    read = sorted(rng.sample(range(len(convs) - 1), rng.randint(0, 3)))
    contexts = tuple(Context(convs[index].name) for index in (*read, len(convs) - 1))
    height, width = rng.randint(20, 28 if small else 48), rng.randint(24, 60 if small else 160)
    channels = rng.choice([1, 3, 3])
    whole = Architecture(alphabet, height, width, channels, Preprocessing(), tuple(convs), contexts)
    return resized(whole, height, width)


def _block(rng: random.Random, name: str, out: int, producer: Conv) -> list[Conv]:
    """The published block: an inner width of its own, perhaps a pool before it."""
    inner = rng.randint(1, max(1, out // 2))
    pool = _pool(rng, producer.out_channels) if rng.random() < 0.7 else None
    return [
        Conv(f"{name}.block.0", inner, (1, 1), pool=pool),
        Conv(f"{name}.block.2", inner, (3, 1), padding=(1, 0)),
        Conv(f"{name}.block.4", inner, (1, 3), padding=(0, 1)),
        Conv(f"{name}.block.6", out, (1, 1), norm=_norm(rng, f"{name}.norm")),
    ]


def _pool(rng: random.Random, channels: int) -> MaxPool:
    """Of 3x3 windows, as all must be, 1 row apart."""
    pool = MaxPool(rng.choice([1, 1, 2, 4]), stride=(1, rng.choice([1, 2, 2, 3])))
    if rng.random() < 0.2:
        picked = sorted(rng.sample(range(channels), rng.randint(1, channels)))
        return replace(pool, channel_step=1, selection=tuple(picked))
    return pool


def _norm(rng: random.Random, name: str) -> str | None:
    return name if rng.random() < 0.8 else None


@torch.no_grad()
def _kill_channels(model: LPRNet, share: float) -> None:
    """Zero weights, or a batch norm that lets nothing through. The last channel lives whatever it
    reads, so that no context is 0 everywhere, which nothing can be divided by.
    """
    for conv in model.architecture.backbone:
        dead = torch.rand(conv.out_channels) < share
        dead[-1] = False
        layer = model.get_submodule(conv.norm or conv.name)
        weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
        weight[dead] = 0
        bias[-1] = 2
