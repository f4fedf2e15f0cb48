"""Which channels of an LPRNet can go: found by taking them away one at a time, in float64.

It shares nothing with `relay_passes`: the network is a dictionary of tensors, batch norms are
folded here, intervals are followed and worst cases carried from each channel forwards to the
logits, where the compiler's analysis goes from the logits backwards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lprnet.model.architecture import CONTAINER, Architecture, Conv

Floats = NDArray[np.float64]
RESOLUTION = 2.0**-48
"""What the stated rule allows of the largest contribution of a channel."""


@dataclass(frozen=True)
class Folded:
    """Convolutions without batch norms and context constants, float64."""

    architecture: Architecture
    weights: dict[str, Floats]
    """OIHW; columns as `reads` numbers them."""
    biases: dict[str, Floats]
    reads: dict[str, list[int]]
    """Convolution to the channels of its producer's output that it reads."""

    def logits(self, x: Tensor, replaced: Mapping[str, Sequence[tuple[int, float]]]) -> Tensor:
        """`(N, C, H, W)` to `(1 + R, N, classes, positions)`: the network's logits, then those of R
        networks, in each of which one channel has one value everywhere: for each `channel, value`
        of `replaced[name]` channel `channel` of convolution `name`. What lies before that channel
        is computed once for all.
        """
        count = len(x)
        contexts: dict[str, Tensor] = {}
        for conv in self.architecture.backbone:
            x = x[:, self.reads[conv.name]]
            if conv.pool is not None:
                x = F.max_pool2d(x, conv.pool.kernel, conv.pool.stride)
            weight, bias = (torch.from_numpy(t[conv.name]) for t in (self.weights, self.biases))
            x = F.conv2d(x, weight, bias, padding=conv.padding).relu()
            changed = [x[:count].clone() for _ in replaced[conv.name]]
            for images, (channel, value) in zip(changed, replaced[conv.name], strict=True):
                images[:, channel] = value
            x = contexts[conv.name] = torch.cat([x, *changed])
        pooled = []
        for one in self.architecture.contexts:
            values = F.avg_pool2d(contexts[one.of], one.kernel, one.stride)
            later = (len(x) - len(values)) // count  # networks that differ only behind this context
            pooled.append(torch.cat([values, values[:count].repeat(later, 1, 1, 1)]))
        weight, bias = (torch.from_numpy(t[CONTAINER]) for t in (self.weights, self.biases))
        logits = F.conv2d(torch.cat(pooled, 1), weight, bias).mean(dim=2)
        return logits.reshape(-1, count, *logits.shape[1:])

    def columns(self, name: str) -> NDArray[np.int64] | None:
        """The container's inputs that are `name`'s channels."""
        start = 0
        for context in self.architecture.contexts:
            count = len(self.biases[context.of])
            if context.of == name:
                return np.arange(start, start + count)
            start += count
        return None

    def is_padded(self, conv: Conv) -> bool:
        """Whether what reads `conv` pads with zeros, which no other constant can stand for."""
        consumer = self.architecture.consumer(conv)
        return consumer is not None and any(consumer.padding)

    def bounds(self) -> dict[str, tuple[Floats, Floats]]:
        """The least and the greatest value of every channel before its ReLU, for inputs within
        -1 to 1.
        """
        bounds = {}
        low, high = (
            np.full(self.architecture.channels, -1.0),
            np.full(self.architecture.channels, 1.0),
        )
        for conv in self.architecture.backbone:
            low, high = low[self.reads[conv.name]], high[self.reads[conv.name]]
            if any(conv.padding):
                low, high = np.minimum(low, 0), np.maximum(high, 0)
            weight, bias = self.weights[conv.name], self.biases[conv.name]
            up, down = weight.clip(min=0).sum((2, 3)), weight.clip(max=0).sum((2, 3))
            low, high = up @ low + down @ high + bias, up @ high + down @ low + bias
            bounds[conv.name] = low, high
            low, high = low.clip(min=0), high.clip(min=0)
        return bounds

    def removable(self, conv: Conv) -> NDArray[np.bool_]:
        """Which channels of `conv` the stated rule removes: replaced by its least value, or by 0
        in front of zero padding, each may change every logit by `RESOLUTION` over the number of
        channels times the largest contribution of one of them.
        """
        low, high = (side.clip(min=0) for side in self.bounds()[conv.name])
        constant = np.zeros_like(low) if self.is_padded(conv) else low
        change = np.maximum(high - constant, constant - low)
        effects, contributions = np.zeros((1, 1)), np.zeros((1, 1))
        for slopes in self._worst_slopes(conv):
            effects = effects + slopes * change
            contributions = np.maximum(contributions, (slopes * high).max(axis=1, keepdims=True))
        allowed = RESOLUTION * contributions / len(low)
        return np.asarray((effects <= allowed).all(axis=0), bool)

    def _worst_slopes(self, conv: Conv) -> list[Floats]:
        """For each consumer of `conv`, how far every logit moves at most when a channel moves by
        1: `(classes, channels)`.
        """
        bounds, count = self.bounds(), len(self.biases[conv.name])
        slopes = []
        columns = self.columns(conv.name)
        if columns is not None:
            slopes.append(np.abs(self.weights[CONTAINER][:, columns, 0, 0]))
        moved, total, later = np.eye(count), np.zeros((self.architecture.classes, count)), conv
        while (consumer := self.architecture.consumer(later)) is not None:
            taps = np.abs(self.weights[consumer.name]).sum((2, 3))
            moved = taps @ moved[self.reads[consumer.name]]
            moved = moved * (bounds[consumer.name][1] > 0)[:, None]
            columns = self.columns(consumer.name)
            if columns is not None:
                total = total + np.abs(self.weights[CONTAINER][:, columns, 0, 0]) @ moved
            later = consumer
        return [*slopes, total] if later is not conv else slopes

    def without(self, kept: Mapping[str, NDArray[np.int64]]) -> "Folded":
        """The network of the channels `kept`, the others replaced as the rule says."""
        bounds = self.bounds()
        weights, biases, reads = dict(self.weights), dict(self.biases), dict(self.reads)
        for conv in self.architecture.backbone:
            rows, every = kept[conv.name], np.arange(len(self.biases[conv.name]))
            gone = np.setdiff1d(every, rows)
            constants = np.zeros(len(every))
            if not self.is_padded(conv):
                constants[gone] = bounds[conv.name][0].clip(min=0)[gone]
            weights[conv.name], biases[conv.name] = (
                weights[conv.name][rows],
                biases[conv.name][rows],
            )
            consumer = self.architecture.consumer(conv)
            if consumer is not None:
                read = np.array(self.reads[consumer.name])
                left = np.flatnonzero(np.isin(read, rows))
                sums = weights[consumer.name].sum((2, 3))
                biases[consumer.name] = biases[consumer.name] + sums @ constants[read]
                weights[consumer.name] = weights[consumer.name][:, left]
                reads[consumer.name] = [rows.tolist().index(channel) for channel in read[left]]
            columns = self.columns(conv.name)
            if columns is not None:
                shift = self.weights[CONTAINER][:, columns, 0, 0] @ constants
                biases[CONTAINER] = biases[CONTAINER] + shift
        stay = [
            columns[kept[conv.name]]
            for conv in (self.architecture.conv(one.of) for one in self.architecture.contexts)
            if (columns := self.columns(conv.name)) is not None
        ]
        weights[CONTAINER] = self.weights[CONTAINER][:, np.concatenate(stay)]
        return Folded(self.architecture, weights, biases, reads)
