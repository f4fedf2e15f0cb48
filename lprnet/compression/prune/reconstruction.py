"""Take channels out of a network and let every layer behind make up for them.

He et al., "Channel Pruning for Accelerating Very Deep Neural Networks", arXiv:1707.06168, section
3, with the selection of `channel_selection.py`: each layer is refitted by least squares from what
it reads of the pruned network to what it put out in the original one.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from lprnet.compression.compact import Compact, before_relu, context_means
from lprnet.compression.least_squares import as_solution, gram, ridge
from lprnet.compression.prune.channel_selection import NOT_READ, Reading, keep_channels
from lprnet.model.conv_graph import CONTAINER, LAYERS, Layer, reader


@torch.no_grad()
def reconstruct(real: Compact, images: Tensor, widths: Mapping[str, int]) -> Compact:
    """`real` with only `widths[name]` channels of the convolutions in `widths` not zero.

    `images` `(N, 3, 24, 94)`; the shapes stay `real`'s.
    """
    state = _Reconstruction(real, images)
    for layer in LAYERS:
        state.refit(layer)
        if layer.name in widths:
            state.cut(layer, widths[layer.name])
    state.refit_container()
    return state.small


class _Reconstruction:
    """A network that is pruned and refitted up to some layer, and original from there on."""

    def __init__(self, real: Compact, images: Tensor) -> None:
        self.small = replace(real, weights=dict(real.weights), biases=dict(real.biases))
        self.images = images
        self.wanted = before_relu(real, images)
        self.outputs = {name: output.relu() for name, output in self.wanted.items()}
        self.logits = real.logits(images)[:, :, None]

    def refit(self, layer: Layer) -> None:
        """Fit `layer` to its wanted outputs from what it reads now."""
        x = self._input(layer)
        self._solve(layer.name, x, self.wanted[layer.name])
        self.outputs[layer.name] = self.small.compute(layer, x)

    def refit_container(self) -> None:
        """Fit the container to the original logits."""
        self._solve(CONTAINER, self._contexts(), self.logits)

    def cut(self, layer: Layer, width: int) -> None:
        """Keep `width` channels of `layer`, the ones its readers can make up for least."""
        channels = len(self.small.biases[layer.name])
        behind = reader(layer)
        readings: dict[str, Reading] = {}
        if behind is not None:
            columns = torch.full((channels,), NOT_READ)
            take = self.small.takes[behind.name]
            columns[take] = torch.arange(len(take))
            wanted = self.wanted[behind.name]
            x = self._input(behind)
            readings[behind.name] = self._reading(behind.name, x, wanted, columns)
        if layer.context is not None:
            before = [other for other in LAYERS[: LAYERS.index(layer)] if other.context is not None]
            start = sum(len(self.small.biases[other.name]) for other in before)
            columns = start + torch.arange(channels)
            x = self._contexts()
            readings[CONTAINER] = self._reading(CONTAINER, x, self.logits, columns)
        mask = torch.zeros(channels)
        mask[keep_channels(list(readings.values()), width)] = 1.0
        self.small.weights[layer.name] = self.small.weights[layer.name] * mask[:, None, None, None]
        self.small.biases[layer.name] = self.small.biases[layer.name] * mask
        for name, reading in readings.items():
            read = reading.columns != NOT_READ
            weight = self.small.weights[name].clone()
            weight[:, reading.columns[read]] *= mask[read][:, None, None]
            self.small.weights[name] = weight
        self.outputs[layer.name] = self.outputs[layer.name] * mask[:, None, None]

    def _input(self, layer: Layer) -> Tensor:
        if layer.source is None:
            return self.images
        return self.small.input(layer, self.outputs[layer.source])

    def _contexts(self) -> Tensor:
        return torch.cat(context_means(self.outputs), dim=1)[:, :, None]

    def _reading(self, name: str, x: Tensor, wanted: Tensor, columns: Tensor) -> Reading:
        weight = self.small.weights[name]
        prior = as_solution(weight, self.small.biases[name])
        return Reading(gram(weight, x, wanted), prior, weight[0, 0].numel(), columns)

    def _solve(self, name: str, x: Tensor, wanted: Tensor) -> None:
        weight = self.small.weights[name]
        moments = gram(weight, x, wanted)
        solution = ridge(moments, as_solution(weight, self.small.biases[name]))
        self.small.weights[name] = solution[:-1].T.reshape(weight.shape).float()
        self.small.biases[name] = solution[-1].float()
