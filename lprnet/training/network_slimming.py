"""Train only the live channels: the same network, smaller tensors, exact in both directions.

A batch-norm channel with scale 0 and shift <= 0 comes out of its ReLU as 0 everywhere, so nothing
after it depends on it (Liu et al., "Learning Efficient Convolutional Networks through Network
Slimming", arXiv:1708.06519). `narrow` cuts such channels out of every tensor, `restore` puts them
back as zeros; a training step in between costs about a third of the full network's.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lprnet.model.architecture import CONTAINER, Architecture, Conv
from lprnet.model.lprnet import LPRNet

Live = dict[str, Tensor]
"""Name of each convolution with a batch norm to the sorted indices of its live channels (int64)."""

INITIAL_WIDTHS = (1 / 2, 1 / 2, 1 / 4, 1 / 4, 1 / 2, 1)
"""The share of the channels of each convolution with a batch norm that a new network starts with.
"""


def normed(architecture: Architecture) -> tuple[Conv, ...]:
    """The convolutions with a batch norm, in the order of execution."""
    return tuple(conv for conv in architecture.backbone if conv.norm is not None)


def batch_norm(model: LPRNet, conv: Conv) -> nn.BatchNorm2d:
    """The batch norm behind `conv`, which must have one."""
    assert conv.norm is not None
    layer = model.get_submodule(conv.norm)
    assert isinstance(layer, nn.BatchNorm2d)
    return layer


@torch.no_grad()
def prune_at_init(model: LPRNet) -> None:
    """Leave each batch norm its share of `INITIAL_WIDTHS`, in place: scale and shift of its other
    channels become 0.

    Behind a max pool that reads every n-th channel, those are the ones to leave.
    """
    architecture = model.architecture
    for conv, share in zip(normed(architecture), INITIAL_WIDTHS, strict=True):
        consumer = architecture.consumer(conv)
        step = 1 if consumer is None else consumer.channel_step
        layer = batch_norm(model, conv)
        dead = torch.ones(conv.out_channels, dtype=torch.bool)
        dead[: int(conv.out_channels * share) * step : step] = False
        layer.weight[dead] = 0.0
        layer.bias[dead] = 0.0


def live_channels(model: LPRNet) -> Live:
    """Every channel that can be other than 0 after its ReLU: scale not 0, or shift above 0."""
    live = {}
    for conv in normed(model.architecture):
        layer = batch_norm(model, conv)
        live[conv.name] = ((layer.weight != 0) | (layer.bias > 0)).nonzero().flatten()
    return live


def _live_inputs(architecture: Architecture, live: Live, conv: Conv) -> Tensor | None:
    """Which input channels of `conv` are live; None: all."""
    producer = architecture.producer(conv)
    if producer is None or producer.name not in live:
        return None
    kept = torch.zeros(producer.out_channels, dtype=torch.bool)
    kept[live[producer.name]] = True
    if conv.pool is not None:
        kept = kept[list(conv.pool.selected(producer.out_channels))]
    return kept.nonzero().flatten()


def _kept(
    architecture: Architecture, live: Live
) -> Iterator[tuple[str, Tensor | None, Tensor | None]]:
    """Key of the state dict, and the output and input channels that are live; None: all."""
    for conv in architecture.backbone:
        rows = live.get(conv.name)
        yield f"{conv.name}.weight", rows, _live_inputs(architecture, live, conv)
        yield f"{conv.name}.bias", rows, None
        if conv.norm is not None:
            for name in ("weight", "bias", "running_mean", "running_var"):
                yield f"{conv.norm}.{name}", rows, None
            yield f"{conv.norm}.num_batches_tracked", None, None
    yield f"{CONTAINER}.weight", None, _context_channels(architecture, live)
    yield f"{CONTAINER}.bias", None, None


def _context_channels(architecture: Architecture, live: Live) -> Tensor:
    """The container's live inputs."""
    pairs = zip(architecture.contexts, architecture.context_columns(), strict=True)
    return torch.cat([columns.start + live[context.of] for context, columns in pairs])


def _context_scales(architecture: Architecture, live: Live) -> Tensor:
    """What the container's live inputs shrink by when the dead ones enter the mean square."""
    scales = []
    for context in architecture.contexts:
        count = len(live[context.of])
        share = count / architecture.conv(context.of).out_channels
        scales.append(torch.full((count,), share))
    return torch.cat(scales).reshape(1, -1, 1, 1)


@torch.no_grad()
def narrow(model: LPRNet, live: Live) -> LPRNet:
    """A copy without dead channels that computes the same logits, up to rounding.

    Works on `context_means=None`, where the container's weights absorb the changed means.
    """
    architecture = model.architecture
    full, state = model.state_dict(), {}
    for key, rows, columns in _kept(architecture, live):
        tensor = full[key] if rows is None else full[key][rows]
        state[key] = tensor if columns is None else tensor[:, columns]
    state[f"{CONTAINER}.weight"] /= _context_scales(architecture, live)
    narrowed = LPRNet(architecture.narrowed({name: kept.tolist() for name, kept in live.items()}))
    narrowed.load_state_dict(state)
    return narrowed


@torch.no_grad()
def restore(state: dict[str, Tensor], live: Live, architecture: Architecture) -> LPRNet:
    """The network of `architecture` that `narrow` made `state` of; dead channels are 0 (their
    variance 1).
    """
    model = LPRNet(architecture)
    full = model.state_dict()
    for key, rows, columns in _kept(architecture, live):
        tensor, narrowed = full[key], state[key]
        if key == f"{CONTAINER}.weight":
            narrowed = narrowed * _context_scales(architecture, live)
        tensor.fill_(1.0 if key.endswith("running_var") else 0.0)
        if rows is not None and columns is not None:
            tensor[rows[:, None], columns] = narrowed
        elif columns is not None:
            tensor[:, columns] = narrowed
        elif rows is not None:
            tensor[rows] = narrowed
        else:
            tensor.copy_(narrowed)
    return model.eval()
