"""Take channels out of a network and let every later layer make up for them.

He et al., "Channel Pruning for Accelerating Very Deep Neural Networks", arXiv:1707.06168, section
3, with the selection of `channel_selection.py`: each layer is refitted by least squares from what
it reads of the pruned network to its outputs in the original one.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from lprnet.compression.compact import CompactNetwork
from lprnet.compression.least_squares import (
    NormalEquations,
    as_solution,
    as_weight,
    normal_equations,
    ridge,
)
from lprnet.compression.prune.channel_selection import NOT_READ, Consumer, elimination_order
from lprnet.model.architecture import CONTAINER, Conv


@torch.no_grad()
def reconstruct(
    network: CompactNetwork, images: Tensor, widths: Mapping[str, int]
) -> CompactNetwork:
    """`network` with `widths[name]` channels of the convolutions in `widths`.

    `images` `(N, 3, 24, 94)`. One channel more stays where the next convolution would read none.
    """
    state = _Reconstruction(network, images)
    for conv in network.architecture.backbone:
        state.refit(conv)
        if conv.name in widths:
            state.select_channels(conv, widths[conv.name])
    state.refit_container()
    return state.network


@torch.no_grad()
def cut_alone(
    network: CompactNetwork, images: Tensor, conv: Conv, widths: Sequence[int]
) -> Iterator[CompactNetwork]:
    """`network` with each of `widths` channels of `conv`, in turn; only what reads them is
    refitted, so one elimination serves all widths. `images` as in `reconstruct`.
    """
    state = _Reconstruction(network, images)
    consumer = network.architecture.consumer(conv)
    order = state.elimination(conv, min(widths))
    for width in widths:
        cut = copy.copy(state)
        cut.outputs = dict(state.outputs)
        cut.keep(conv, order, width)
        if consumer is not None:
            cut.refit(consumer)
            cut.compute_after(consumer)
        cut.refit_container()
        yield cut.network


class _Reconstruction:
    """A network that is pruned and refitted up to some layer, and original from there on."""

    def __init__(self, network: CompactNetwork, images: Tensor) -> None:
        self.network = CompactNetwork(
            network.architecture, dict(network.weights), dict(network.biases)
        )
        self.images = images
        self.targets, logits = network.targets(images)
        self.outputs = {name: output.relu() for name, output in self.targets.items()}
        self.logits = logits[:, :, None]

    def refit(self, conv: Conv) -> None:
        """Fit `conv` to its target outputs from what it reads now."""
        self._solve(conv.name, self._conv_equations(conv))
        self.outputs[conv.name] = self.network.conv_relu(conv, self._input(conv))

    def refit_container(self) -> None:
        """Fit the container to the original logits."""
        self._solve(CONTAINER, self._container_equations())

    def select_channels(self, conv: Conv, width: int) -> None:
        """Keep `width` channels of `conv`, those that its consumers can make up for least."""
        self.keep(conv, self.elimination(conv, width), width)

    def elimination(self, conv: Conv, width: int) -> list[int]:
        """The channels of `conv` that go until `width` are left, in this order."""
        channels = torch.arange(len(self.network.biases[conv.name]))
        consumer = self.network.architecture.consumer(conv)
        consumers = []
        if consumer is not None:
            columns = torch.where(channels < self._read(conv), channels, NOT_READ)
            equations = self._conv_equations(consumer)
            consumers.append(self._consumer(consumer.name, equations, columns))
        container = self.network.container_columns().get(conv.name)
        if container is not None:
            columns = container.start + channels
            consumers.append(self._consumer(CONTAINER, self._container_equations(), columns))
        return elimination_order(consumers, width)

    def keep(self, conv: Conv, order: list[int], width: int) -> None:
        """Take the first channels of `order` out of `conv`, until `width` are left."""
        count = len(self.network.biases[conv.name])
        gone = {*order[: max(count - width, 0)]}
        kept = torch.tensor([channel for channel in range(count) if channel not in gone])
        if not (kept < self._read(conv)).any():
            kept = torch.cat([torch.arange(1), kept])
        self.network = self.network.select_channels({conv.name: kept})
        self.outputs[conv.name] = self.outputs[conv.name][:, kept]

    def compute_after(self, conv: Conv) -> None:
        """The outputs of all layers after `conv`, which stay as they are."""
        backbone = self.network.architecture.backbone
        for later in backbone[backbone.index(conv) + 1 :]:
            self.outputs[later.name] = self.network.conv_relu(later, self._input(later))

    def _read(self, conv: Conv) -> int:
        """How many channels of `conv`, from the first on, the next convolution reads."""
        consumer = self.network.architecture.consumer(conv)
        if consumer is None:
            return len(self.network.biases[conv.name])
        return self.network.weights[consumer.name].shape[1]

    def _input(self, conv: Conv) -> Tensor:
        producer = self.network.architecture.producer(conv)
        source = self.images if producer is None else self.outputs[producer.name]
        return self.network.input(conv, source)

    def _conv_equations(self, conv: Conv) -> NormalEquations:
        target = self.targets[conv.name]
        return normal_equations(self._input(conv), target, conv.kernel, conv.padding)

    def _container_equations(self) -> NormalEquations:
        contexts = self.network.context_means(self.outputs)[:, :, None]
        return normal_equations(contexts, self.logits)

    def _consumer(self, name: str, equations: NormalEquations, columns: Tensor) -> Consumer:
        taps = self.network.weights[name][0, 0].numel()
        return Consumer(equations, self._solution(name), taps, columns)

    def _solution(self, name: str) -> Tensor:
        return as_solution(self.network.weights[name], self.network.biases[name])

    def _solve(self, name: str, equations: NormalEquations) -> None:
        solution = ridge(equations, self._solution(name))
        shape = self.network.weights[name].shape
        self.network.weights[name], self.network.biases[name] = as_weight(solution, shape)
