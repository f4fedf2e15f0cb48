"""The convolutions of the published network in one tuple, and their tensors in a model.

`architecture.py` is what they are derived from. The order of `LAYERS` is the order of execution.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from lprnet.model.architecture import CONTAINER, Architecture, Conv, Pair
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import LPRNET_CHINA
from lprnet.support.errors import UserError

__all__ = ["CONTAINER"]


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
    pool: tuple[int, int] | None
    """Channel and width stride of the max pool between the source and this convolution."""
    context: int | None
    """Index of the context map that its output, after ReLU, also feeds."""
    padding: Pair

    @property
    def stride(self) -> int:
        """The convolution reads every `stride`-th channel of its source."""
        return 1 if self.pool is None else self.pool[0]


def _layer(architecture: Architecture, conv: Conv) -> Layer:
    _, height, width = architecture.shapes()[conv.name]
    producer = architecture.producer(conv)
    return Layer(
        name=conv.name,
        norm=conv.norm,
        pixels=height * width,
        source=None if producer is None else producer.name,
        pool=None if conv.pool is None else (conv.pool.channel_step, conv.pool.stride[1]),
        context=architecture.context_index(conv),
        padding=conv.padding,
    )


LAYERS: tuple[Layer, ...] = tuple(_layer(LPRNET_CHINA, conv) for conv in LPRNET_CHINA.backbone)
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
    for context in LPRNET_CHINA.contexts:
        channels = convolution(model, context.of).out_channels
        yield slice(start, start + channels)
        start += channels


def check_finite(model: LPRNet) -> None:
    """Raise `UserError` if a learnt tensor or a running statistic holds NaN or infinity."""
    for name, tensor in model.state_dict().items():
        if not bool(tensor.isfinite().all()):
            raise UserError(f"the model's {name} holds NaN or infinity; train or copy it again")
