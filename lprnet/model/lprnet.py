"""LPRNet in PyTorch, built from its architecture; state-dict compatible with the public checkpoint.

Zherzdev and Gruzdev, "LPRNet: License Plate Recognition via Deep Neural Networks",
arXiv:1806.10447. Input `(N, C, H, W)` float32, normalised pixels; output `(N, classes, positions)`
float32 logits, one column per horizontal position. For the published network these are
`(N, 3, 24, 94)`, blue, green, red by `(p - 127.5) / 128`, and `(N, 68, 18)`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lprnet.model.architecture import CONTAINER, Architecture, MaxPool
from lprnet.model.published_lprnet import LPRNET_CHINA


class LPRNet(nn.Module):
    """The network. `context_means` chooses how the global context is normalised.

    The published network divides each context by the mean of its squares. `None` takes that mean
    over each image (so no image depends on its neighbours in the batch); one positive float a
    context, from `calibrate_context_means`, replaces it with a constant.

    Raises `ValueError` for a layer whose name in `architecture` is none, or is taken.
    """

    def __init__(
        self,
        architecture: Architecture = LPRNET_CHINA,
        context_means: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.context_means = None if context_means is None else tuple(context_means)
        for conv in architecture.backbone:
            channels = architecture.in_channels(conv), conv.out_channels
            stride = (conv.row_stride, 1)
            self._add(conv.name, nn.Conv2d(*channels, conv.kernel, stride, conv.padding))
            if conv.norm is not None:
                self._add(conv.norm, nn.BatchNorm2d(conv.out_channels))
        self._add(CONTAINER, nn.Conv2d(architecture.container_inputs, architecture.classes, 1))

    def _add(self, name: str, layer: nn.Module) -> None:
        """Make `layer` the submodule of this dotted name."""
        parent: nn.Module = self
        *path, last = name.split(".")
        for part in path:
            if part and not hasattr(parent, part):
                parent.add_module(part, nn.Module())
            inner = getattr(parent, part, None)
            if not isinstance(inner, nn.Module):  # a method, or nothing
                raise ValueError(f"a layer cannot be called {name!r}; give it another name")
            parent = inner
        if not last or hasattr(parent, last):
            raise ValueError(f"a layer cannot be called {name!r}; give it another name")
        parent.add_module(last, layer)

    def contexts(self, x: Tensor) -> list[Tensor]:
        """The pooled, not yet normalised contexts, each `(N, C_i, *grid)`."""
        outputs: dict[str, Tensor] = {}
        for conv in self.architecture.backbone:
            if conv.pool is not None:
                x = max_pool(x, conv.pool)
            x = self.get_submodule(conv.name)(x)
            if conv.norm is not None:
                x = self.get_submodule(conv.norm)(x)
            outputs[conv.name] = x = F.relu(x)
        pooled = []
        for context in self.architecture.contexts:
            x = outputs[context.of]
            whole = context.window == 1
            pooled.append(x if whole else F.avg_pool2d(x, context.kernel, context.stride))
        return pooled

    def forward(self, x: Tensor) -> Tensor:
        """`(N, C, H, W)` to logits `(N, classes, positions)`."""
        normalised = []
        for index, context in enumerate(self.contexts(x)):
            if self.context_means is None:
                normalised.append(context / context.square().mean(dim=(1, 2, 3), keepdim=True))
            else:
                normalised.append(context / self.context_means[index])
        return self.logits(normalised)

    def logits(self, normalised: Sequence[Tensor]) -> Tensor:
        """The normalised contexts to `(N, classes, positions)`: the mean over the height."""
        logits: Tensor = self.get_submodule(CONTAINER)(torch.cat(list(normalised), dim=1))
        return logits.mean(dim=2)


def max_pool(x: Tensor, pool: MaxPool) -> Tensor:
    """`MaxPool3d((1, *kernel), stride=(step, *stride))` on NCHW.

    Written in two steps because torch refuses the 3-D form on a 4-D tensor at batch 1.
    """
    if pool.selection is None:
        x = x[:, :: pool.channel_step]
    elif len(pool.selection) < x.shape[1]:
        x = x[:, list(pool.selection)]
    if pool.row_repeat > 1:
        x = x.repeat_interleave(pool.row_repeat, dim=2)
    return F.max_pool2d(x, pool.kernel, pool.stride)


@torch.no_grad()
def calibrate_context_means(model: LPRNet, images: Tensor) -> tuple[float, ...]:
    """The mean square of each context over `images` `(N, C, H, W)`."""
    model.eval()
    return tuple(float(context.square().mean()) for context in model.contexts(images))


@contextmanager
def inference(model: LPRNet) -> Iterator[None]:
    """Inference mode inside, the model's own mode again after."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
