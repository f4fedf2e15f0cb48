"""LPRNet as a graph of convolutions: who reads whom, and through which channel stride.

`lprnet.py` says how the network computes; folding, pruning and quantization need to know which
weights meet. The order of `LAYERS` is the order of execution.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from lprnet.model.lprnet import CONTEXT_LAYERS, POSITIONS, LPRNet
from lprnet.support.errors import UserError

CONTAINER = "container.0"


@dataclass(frozen=True)
class Layer:
    """A convolution of the backbone; a ReLU follows each one."""

    name: str
    """State-dict prefix, as `backbone.4.block.0`."""
    norm: str | None
    """The batch norm between the convolution and its ReLU."""
    pixels: int
    """Output positions per image, height x width."""
    source: str | None
    """The convolution whose output this one reads; None: the image."""
    pool: tuple[int, int] | None = None
    """Channel and width stride of the max pool between the source and this convolution."""
    context: int | None = None
    """Index of the context map that its output, after ReLU, also feeds."""

    @property
    def stride(self) -> int:
        """The convolution reads every `stride`-th channel of its source."""
        return 1 if self.pool is None else self.pool[0]


def _block(
    index: int, pixels: int, source: str, pool: tuple[int, int] | None, context: int | None
) -> list[Layer]:
    names = [f"backbone.{index}.block.{position}" for position in (0, 2, 4, 6)]
    return [
        Layer(names[0], None, pixels, source, pool),
        Layer(names[1], None, pixels, names[0]),
        Layer(names[2], None, pixels, names[1]),
        Layer(names[3], f"backbone.{index + 1}", pixels, names[2], context=context),
    ]


LAYERS: tuple[Layer, ...] = (
    Layer("backbone.0", "backbone.1", 22 * 92, None, context=0),
    *_block(4, 20 * 90, "backbone.0", (1, 1), 1),
    *_block(8, 18 * 44, "backbone.4.block.6", (2, 2), None),
    *_block(11, 18 * 44, "backbone.8.block.6", None, 2),
    Layer("backbone.16", "backbone.17", 16 * 18, "backbone.11.block.6", (4, 2)),
    Layer("backbone.20", "backbone.21", 4 * POSITIONS, "backbone.16", context=3),
)
NAMES: tuple[str, ...] = tuple(layer.name for layer in LAYERS)


def convolution(model: LPRNet, name: str) -> nn.Conv2d:
    """The convolution called `name` in `model`'s state dict."""
    module = model.get_submodule(name)
    assert isinstance(module, nn.Conv2d)
    return module


def weight_and_bias(model: LPRNet, name: str) -> tuple[Tensor, Tensor]:
    """The OIHW weight and the `(O,)` bias of the convolution called `name`, not copied."""
    conv = convolution(model, name)
    assert conv.bias is not None
    return conv.weight, conv.bias


def reader(layer: Layer) -> Layer | None:
    """The layer that reads `layer`'s output; None for the last, which only the container reads."""
    return next((later for later in LAYERS if later.source == layer.name), None)


def context_columns(model: LPRNet) -> Iterator[slice]:
    """The container's input channels that belong to each context map, in order."""
    start = 0
    for index in CONTEXT_LAYERS:
        channels = next(
            convolution(model, layer.name).out_channels
            for layer in LAYERS
            if layer.context is not None and CONTEXT_LAYERS[layer.context] == index
        )
        yield slice(start, start + channels)
        start += channels


def check_finite(model: LPRNet) -> None:
    """Raise `UserError` if a learnt tensor or a running statistic holds NaN or infinity."""
    for name, tensor in model.state_dict().items():
        if not bool(tensor.isfinite().all()):
            raise UserError(f"the model's {name} holds NaN or infinity; train or copy it again")
