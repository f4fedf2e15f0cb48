"""The published LPRNet as an `Architecture`: of any alphabet, image size and widths."""

from dataclasses import replace

from lprnet.model.architecture import Architecture, Context, Conv, MaxPool, Pair
from lprnet.model.pixel_format import Preprocessing
from lprnet.runtime.alphabet import CHINA, Alphabet
from lprnet.runtime.image_format import PUBLISHED, ImageFormat


def _block(index: int, out_channels: int, pool: MaxPool | None) -> tuple[Conv, ...]:
    """1x1 reduce, 3x1, 1x3, 1x1 expand; the inner width is a quarter (table 1 of the paper)."""
    inner, name = out_channels // 4, f"backbone.{index}.block"
    return (
        Conv(f"{name}.0", inner, (1, 1), pool=pool),
        Conv(f"{name}.2", inner, (3, 1), padding=(1, 0)),
        Conv(f"{name}.4", inner, (1, 3), padding=(0, 1)),
        Conv(f"{name}.6", out_channels, (1, 1), norm=f"backbone.{index + 1}"),
    )


def lprnet(
    alphabet: Alphabet,
    height: int = 24,
    width: int = 94,
    channels: int = 3,
    widths: tuple[int, int, int, int, int] = (64, 128, 256, 256, 256),
) -> Architecture:
    """The network of Zherzdev and Gruzdev, arXiv:1806.10447, table 2, as the public
    `LPRNet_Pytorch` has it, for any image size.

    `widths` are the output channels of the first convolution, of the three blocks, and of the
    convolution before the last. Raises `ValueError` where the image is too small.
    """
    first, second, third, fourth, fifth = widths
    backbone = (
        Conv("backbone.0", first, (3, 3), norm="backbone.1"),
        *_block(4, second, MaxPool()),
        *_block(8, third, MaxPool(2, stride=(1, 2))),
        *_block(11, fourth, None),
        Conv("backbone.16", fifth, (1, 4), norm="backbone.17", pool=MaxPool(4, stride=(1, 2))),
        Conv("backbone.20", alphabet.classes, (13, 1), norm="backbone.21"),
    )
    names = ("backbone.0", "backbone.4.block.6", "backbone.11.block.6", "backbone.20")
    contexts = tuple(Context(name) for name in names)
    unsized = Architecture(
        alphabet, height, width, channels, Preprocessing(), backbone, contexts=contexts
    )
    return resized(unsized, height, width)


def resized(architecture: Architecture, height: int, width: int) -> Architecture:
    """`architecture` for images of this size: pools bring the contexts to the size of the last one.

    Raises `ValueError` where the image is too small.
    """
    *pooled, last = architecture.contexts
    alone = replace(
        architecture,
        height=height,
        width=width,
        contexts=(replace(last, kernel=(1, 1), stride=(1, 1)),),
    )
    shapes, grid = alone.shapes(), alone.grid
    contexts = (_context(context.of, shapes[context.of][1:], grid) for context in pooled)
    return replace(alone, contexts=(*contexts, *alone.contexts))


def _context(name: str, size: Pair, grid: Pair) -> Context:
    """The average pool that brings a map of `size` to `grid`: the largest stride that does, and
    windows side by side, or the largest where those would be too many.
    """
    kernel, stride = [], []
    for extent, count in zip(size, grid, strict=True):
        step = extent // count
        side_by_side = (extent - step) // step + 1 == count
        kernel.append(step if side_by_side else extent - (count - 1) * step)
        stride.append(step)
    return Context(name, (kernel[0], kernel[1]), (stride[0], stride[1]))


LPRNET_CHINA = lprnet(CHINA)
"""The public checkpoint's: 446,976 learnt parameters, 24x94 images, 68 classes, 18 positions."""

BACKBONE_NAMES: tuple[str, ...] = tuple(conv.name for conv in LPRNET_CHINA.backbone)
"""The names of its convolutions before the container, in the order of execution."""


def has_published_layers(architecture: Architecture) -> bool:
    """Whether only its widths, its alphabet and its pixels differ from the published one's, and its
    norms, which may be folded.
    """

    def layers(one: Architecture) -> tuple[object, ...]:
        convs = [replace(conv, out_channels=0, norm=None) for conv in one.backbone]
        return convs, one.contexts, one.height, one.width

    return layers(architecture) == layers(LPRNET_CHINA)


def reads_as_published(image_format: ImageFormat, alphabet: Alphabet) -> bool:
    """Whether a network reads what the published one reads, China's plates as 94x24 BGR images:
    what plates are rendered as.
    """
    return image_format == PUBLISHED and alphabet.symbols == CHINA.symbols
