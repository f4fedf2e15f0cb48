"""An LPRNet as a value: what it reads, its convolutions, its contexts and its classes.

Everything that depends on the network is derived from this: shapes, the order and the neighbours of
convolutions, the columns of the container. Does not import torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lprnet.model.pixel_format import Preprocessing
from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.image_format import ImageFormat

Pair = tuple[int, int]
"""Of rows and of columns."""

LARGEST_MAP = 1 << 14
"""Rows or columns: beyond is a mistake, as a pool after the other that repeats rows."""
CONTAINER = "container.0"
"""The last convolution, 1x1: it reads all contexts and computes the classes."""


@dataclass(frozen=True)
class MaxPool:
    """Some channels of a map, each replaced by the maxima of its windows; no padding."""

    channel_step: int = 1
    """Every `channel_step`-th channel is read, from the first on."""
    kernel: Pair = (3, 3)
    stride: Pair = (1, 1)
    selection: tuple[int, ...] | None = None
    """The channels that are read, where they are not every `channel_step`-th."""
    row_repeat: int = 1
    """How often each row is read, one after another, for a map of every second row."""

    def selected(self, count: int) -> Sequence[int]:
        """Which of `count` channels are read, in order."""
        return range(0, count, self.channel_step) if self.selection is None else self.selection


@dataclass(frozen=True)
class Conv:
    """A convolution of the backbone, of column stride 1; a ReLU follows each one."""

    name: str
    """State-dict prefix, as `backbone.4.block.0`."""
    out_channels: int
    kernel: Pair
    padding: Pair = (0, 0)
    norm: str | None = None
    """State-dict prefix of the batch norm between the convolution and its ReLU."""
    pool: MaxPool | None = None
    """Between its producer and itself."""
    row_stride: int = 1

    @property
    def channel_step(self) -> int:
        """It reads every `channel_step`-th channel of its producer."""
        return 1 if self.pool is None else self.pool.channel_step


@dataclass(frozen=True)
class Context:
    """A map that the container reads: an average pool, without padding, of a convolution's
    output after its ReLU.
    """

    of: str
    """The name of the convolution."""
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)

    @property
    def window(self) -> int:
        """How many values an average is taken of; 1: the output is read as it is."""
        return self.kernel[0] * self.kernel[1]


@dataclass(frozen=True)
class Architecture:
    """The network: each convolution of `backbone` reads the one before it, the first the image."""

    alphabet: Alphabet
    height: int
    width: int
    channels: int
    """Of the image: 3 are blue, green, red; 1 is grey."""
    preprocessing: Preprocessing
    backbone: tuple[Conv, ...]
    """In the order of execution."""
    contexts: tuple[Context, ...]
    """In the order in which the container reads them, each of another convolution."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image as a tensor."""
        return self.channels, self.height, self.width

    @property
    def image_format(self) -> ImageFormat:
        """The pixels that the runtime makes of an image."""
        preprocessing = self.preprocessing
        return ImageFormat(
            self.height, self.width, self.channels, preprocessing.fit, preprocessing.border
        )

    @property
    def classes(self) -> int:
        """The rows of the logits, the blank included."""
        return self.alphabet.classes

    @property
    def positions(self) -> int:
        """The columns of the logits. Raises as `shapes`."""
        return self.grid[1]

    @property
    def grid(self) -> Pair:
        """Height and width of every context. Raises as `shapes`."""
        return self._context_grids(self.shapes())[0]

    def conv(self, name: str) -> Conv:
        """The convolution of the backbone called `name`."""
        return next(conv for conv in self.backbone if conv.name == name)

    def producer(self, conv: Conv) -> Conv | None:
        """The convolution whose output `conv` reads; None: it reads the image."""
        index = self.backbone.index(conv)
        return self.backbone[index - 1] if index else None

    def consumer(self, conv: Conv) -> Conv | None:
        """The convolution that reads `conv`'s output; None: only a context does."""
        index = self.backbone.index(conv) + 1
        return self.backbone[index] if index < len(self.backbone) else None

    def context_index(self, conv: Conv) -> int | None:
        """Which context `conv`'s output feeds; None: none."""
        names = [context.of for context in self.contexts]
        return names.index(conv.name) if conv.name in names else None

    def in_channels(self, conv: Conv) -> int:
        """How many channels `conv` reads."""
        producer = self.producer(conv)
        if producer is None:
            return self.channels
        if conv.pool is None:
            return producer.out_channels
        return len(conv.pool.selected(producer.out_channels))

    @property
    def container_inputs(self) -> int:
        """How many channels the container reads."""
        return sum(self.conv(context.of).out_channels for context in self.contexts)

    def context_columns(self) -> Iterator[slice]:
        """The container's input channels that belong to each context, in order."""
        start = 0
        for context in self.contexts:
            stop = start + self.conv(context.of).out_channels
            yield slice(start, stop)
            start = stop

    def shapes(self) -> dict[str, tuple[int, int, int]]:
        """Channels, height and width of every convolution's output, by name.

        Raises `ValueError` where nothing is left of the image, where the contexts do not all have
        the same height and width, and for a context of single values that are not all there.
        """
        shapes = self._backbone_shapes()
        grids = self._context_grids(shapes)
        if len(set(grids)) > 1:
            sizes = ", ".join(f"{rows}x{columns}" for rows, columns in grids)
            raise ValueError(
                f"does not fit {self._size}: its contexts are {sizes} maps, which do not meet; "
                "other context pools are needed (--architecture)"
            )
        return shapes

    def _backbone_shapes(self) -> dict[str, tuple[int, int, int]]:
        shapes = {}
        size = (self.height, self.width)
        for conv in self.backbone:
            if conv.pool is not None:
                rows = size[0] * conv.pool.row_repeat
                size = _windows((rows, size[1]), conv.pool.kernel, conv.pool.stride)
            padded = (size[0] + 2 * conv.padding[0], size[1] + 2 * conv.padding[1])
            size = _windows(padded, conv.kernel, (conv.row_stride, 1))
            self._check_size(conv.name, size)
            shapes[conv.name] = (conv.out_channels, *size)
        return shapes

    def _context_grids(self, shapes: Mapping[str, tuple[int, int, int]]) -> list[Pair]:
        grids = [_windows(shapes[c.of][1:], c.kernel, c.stride) for c in self.contexts]
        for context, grid in zip(self.contexts, grids, strict=True):
            self._check_size(f"the context of {context.of}", grid)
            if context.window == 1 and context.stride != (1, 1):
                rows, columns = context.stride
                raise ValueError(
                    f"has a context of {context.of} that takes one value of each {rows}x{columns}, "
                    "which is not compiled; its stride must be 1, or its pool larger"
                )
        return grids

    def _check_size(self, what: str, size: Pair) -> None:
        if min(size) < 1:
            raise ValueError(
                f"does not fit {self._size}: they are too small, nothing is left for {what}"
            )
        if max(size) > LARGEST_MAP:
            raise ValueError(f"makes a map of {max(size):,} rows or columns for {what}")

    @property
    def _size(self) -> str:
        return f"images of {self.width}x{self.height} (width x height)"

    def narrowed(self, kept: Mapping[str, Sequence[int]]) -> "Architecture":
        """The same network with only the channels `kept[name]`, sorted, of each convolution."""
        backbone = []
        for conv in self.backbone:
            producer, pool = self.producer(conv), conv.pool
            if producer is not None and pool is not None and producer.name in kept:
                read = set(pool.selected(producer.out_channels))
                places = [i for i, one in enumerate(kept[producer.name]) if one in read]
                pool = replace(pool, selection=tuple(places))
            count = len(kept[conv.name]) if conv.name in kept else conv.out_channels
            backbone.append(replace(conv, out_channels=count, pool=pool))
        return replace(self, backbone=tuple(backbone))


def _windows(size: Pair, kernel: Pair, stride: Pair) -> Pair:
    """How many whole windows lie on a map of `size`."""
    rows, columns = ((size[axis] - kernel[axis]) // stride[axis] + 1 for axis in (0, 1))
    return rows, columns
