"""Train only the living channels: the same network, smaller tensors, exact in both directions.

A batch-norm channel with scale 0 and shift <= 0 comes out of its ReLU as 0 everywhere, so nothing
after it can see it (channel slimming: Liu et al., "Learning Efficient Convolutional Networks
through Network Slimming", arXiv:1708.06519). `slim` cuts such channels out of every tensor, `widen`
puts them back as zeros; a training step in between costs about a third of the full network's.
"""

import torch
from torch import Tensor, nn

from lprnet.model.lprnet import CONTEXT_LAYERS, ChannelStridedMaxPool, LPRNet, SmallBasicBlock

Live = dict[int, Tensor]
"""Backbone index of each batch norm to the sorted indices of its living channels (int64)."""

NORMS = (1, 5, 9, 12, 17, 21)
SOURCES: dict[int, tuple[int, int]] = {4: (1, 1), 8: (5, 2), 11: (9, 1), 16: (12, 4), 20: (17, 1)}
"""Backbone index of each convolution to the norm it reads and the channel stride between them."""

BORN_DEAD: dict[int, tuple[int, int]] = {
    1: (32, 1),
    5: (64, 2),
    9: (64, 1),
    12: (64, 4),
    17: (128, 1),
}
"""Norm to (channels that live, their stride): behind a pool of channel stride c only every c-th
channel reaches the next block, so those are the ones to keep."""


def batch_norm(model: LPRNet, index: int) -> nn.BatchNorm2d:
    """Layer `index` of the backbone, which must be one of `NORMS`."""
    layer = model.backbone[index]
    assert isinstance(layer, nn.BatchNorm2d)
    return layer


class SelectedMaxPool(nn.Module):
    """`ChannelStridedMaxPool` on a slimmed tensor: `keep` are the positions it used to pick."""

    keep: Tensor

    def __init__(self, keep: Tensor, width_stride: int) -> None:
        super().__init__()
        self.register_buffer("keep", keep, persistent=False)
        self.pool = nn.MaxPool2d(3, (1, width_stride))

    def forward(self, x: Tensor) -> Tensor:
        """`(N, C, H, W)` to `(N, len(keep), H - 2, (W - 3) // w + 1)`."""
        chosen = x if len(self.keep) == x.shape[1] else x[:, self.keep]
        out: Tensor = self.pool(chosen)
        return out


@torch.no_grad()
def start_dead(model: LPRNet) -> None:
    """Kill the channels outside `BORN_DEAD`'s by setting their scale and shift to 0, in place."""
    for norm, (count, stride) in BORN_DEAD.items():
        layer = batch_norm(model, norm)
        dead = torch.ones(layer.num_features, dtype=torch.bool)
        dead[: count * stride : stride] = False
        layer.weight[dead] = 0.0
        layer.bias[dead] = 0.0


def live_channels(model: LPRNet) -> Live:
    """Every channel that can be seen behind its ReLU: scale not 0, or shift above 0."""
    live = {}
    for norm in NORMS:
        layer = batch_norm(model, norm)
        live[norm] = ((layer.weight != 0) | (layer.bias > 0)).nonzero().flatten()
    return live


def _inputs(live: Live, convolution: int) -> Tensor:
    """Which input channels of `convolution` live, numbered as in the full network."""
    norm, stride = SOURCES[convolution]
    alive = live[norm]
    return alive[alive % stride == 0] // stride


def _slices(model: LPRNet, live: Live) -> dict[str, tuple[Tensor | None, Tensor | None]]:
    """State-dict key to the (output, input) channels that live; None where a tensor stays whole."""
    slices: dict[str, tuple[Tensor | None, Tensor | None]] = {}
    for norm in NORMS:
        for name in ("weight", "bias", "running_mean", "running_var"):
            slices[f"backbone.{norm}.{name}"] = (live[norm], None)
    for index, layer in enumerate(model.backbone):
        entering = _inputs(live, index) if index in SOURCES else None
        if isinstance(layer, SmallBasicBlock):
            slices[f"backbone.{index}.block.0.weight"] = (None, entering)
            slices[f"backbone.{index}.block.6.weight"] = (live[index + 1], None)
            slices[f"backbone.{index}.block.6.bias"] = (live[index + 1], None)
        elif isinstance(layer, nn.Conv2d):
            slices[f"backbone.{index}.weight"] = (live[index + 1], entering)
            slices[f"backbone.{index}.bias"] = (live[index + 1], None)
    slices["container.0.weight"] = (None, _context_channels(model, live))
    return slices


def _context_channels(model: LPRNet, live: Live) -> Tensor:
    """The container's living inputs."""
    chosen, start = [], 0
    for relu in CONTEXT_LAYERS:
        chosen.append(start + live[relu - 1])
        start += batch_norm(model, relu - 1).num_features
    return torch.cat(chosen)


def _context_scales(model: LPRNet, live: Live) -> Tensor:
    """What the container's living inputs shrink by when the dead ones enter the mean square."""
    scales = []
    for relu in CONTEXT_LAYERS:
        alive = len(live[relu - 1])
        share = alive / batch_norm(model, relu - 1).num_features
        scales.append(torch.full((alive,), share))
    return torch.cat(scales).reshape(1, -1, 1, 1)


def slim(model: LPRNet, live: Live) -> LPRNet:
    """A copy without dead channels that computes the same logits, up to rounding.

    Works on `context_means=None`, where the container's weights absorb the changed means.
    """
    small = LPRNet(dropout=0.0)
    state = dict(model.state_dict())
    state["container.0.weight"] = state["container.0.weight"].clone()
    state["container.0.weight"][:, _context_channels(model, live)] /= _context_scales(model, live)
    for key, (out, entering) in _slices(model, live).items():
        tensor = state[key] if out is None else state[key][out]
        state[key] = tensor if entering is None else tensor[:, entering]
    for index, layer in enumerate(small.backbone):
        if isinstance(layer, ChannelStridedMaxPool):
            alive = live[index - 2]
            keep = (alive % layer.channel_stride == 0).nonzero().flatten()
            small.backbone[index] = SelectedMaxPool(keep, layer.width_stride)
    for name, parameter in list(small.named_parameters()) + list(small.named_buffers()):
        if name in state:
            parameter.data = state[name].clone()
    for layer in small.modules():
        if isinstance(layer, nn.Conv2d):
            layer.out_channels, layer.in_channels = layer.weight.shape[:2]
        elif isinstance(layer, nn.BatchNorm2d):
            layer.num_features = len(layer.weight)
    return small


@torch.no_grad()
def widen(state: dict[str, Tensor], live: Live) -> LPRNet:
    """The full-shape network of a slimmed state dict; dead channels are 0 (their variance 1)."""
    model = LPRNet(dropout=0.0)
    full = model.state_dict()
    slices = _slices(model, live)
    for key, tensor in full.items():
        out, entering = slices.get(key, (None, None))
        if out is None and entering is None:
            tensor.copy_(state[key])
            continue
        tensor.fill_(1.0 if key.endswith("running_var") else 0.0)
        small = state[key]
        if key == "container.0.weight":
            small = small * _context_scales(model, live)
        if out is None:
            tensor[:, entering] = small
        elif entering is None:
            tensor[out] = small
        else:
            tensor[out[:, None], entering] = small
    model.load_state_dict(full)
    return model.eval()
