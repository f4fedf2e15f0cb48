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


class Reconstruction:
    """Prunes one network to several widths, each as if it were the first: what the last widths have
    in common with the next ones, from the first layer on, is not computed again.

    `images` `(N, C, H, W)` need no labels.
    """

    def __init__(self, network: CompactNetwork, images: Tensor) -> None:
        self._backbone = network.architecture.backbone
        self._before = [_State(network, images)]
        """Layer by layer of the last widths, the state before it."""
        self._last: list[int | None] = []

    @torch.no_grad()
    def prune(self, widths: Mapping[str, int]) -> CompactNetwork:
        """The network with `widths[name]` channels of the convolutions in `widths`.

        One channel more stays where the next convolution would read none.
        """
        wanted = [widths.get(conv.name) for conv in self._backbone]
        pairs = enumerate(zip(wanted, self._last, strict=False))
        first = next((index for index, (a, b) in pairs if a != b), len(self._last))
        del self._before[first + 1 :]
        for conv, width in zip(self._backbone[first:], wanted[first:], strict=True):
            state = self._before[-1].copy()
            state.refit(conv)
            if width is not None:
                state.select_channels(conv, width)
            self._before.append(state)
        self._last = wanted
        state = self._before[-1].copy()
        state.refit_container()
        return state.network


@torch.no_grad()
def errors_alone(
    network: CompactNetwork, images: Tensor, widths: Mapping[str, Sequence[int]]
) -> Iterator[tuple[str, int, float]]:
    """Of each convolution in `widths`, each of its widths in turn, all others whole: the mean
    squared change of the logits.

    Only what reads the convolution is refitted, and only what comes after it is computed. One
    elimination serves all widths of a convolution. `images` as in `Reconstruction`.
    """
    whole = _State(network, images)
    for name, options in widths.items():
        conv = network.architecture.conv(name)
        consumer = network.architecture.consumer(conv)
        order = whole.elimination(conv, min(options))
        for width in options:
            cut = whole.copy()
            cut.keep(conv, order, width)
            if consumer is not None:
                cut.refit(consumer)
                cut.compute_after(consumer)
            cut.refit_container()
            yield name, width, cut.error()


class _State:
    """A network that is pruned and refitted up to some layer, and original from there on."""

    def __init__(self, network: CompactNetwork, images: Tensor) -> None:
        self.network = CompactNetwork(
            network.architecture, dict(network.weights), dict(network.biases)
        )
        self.images = images
        self.targets, logits = network.targets(images)
        self.outputs = {name: output.relu() for name, output in self.targets.items()}
        self.logits = logits[:, :, None]

    def copy(self) -> "_State":
        """One whose layers change alone; tensors are shared, for none changes in place."""
        one = copy.copy(self)
        network = self.network
        one.network = CompactNetwork(
            network.architecture, dict(network.weights), dict(network.biases)
        )
        one.outputs = dict(self.outputs)
        return one

    def error(self) -> float:
        """The mean squared difference of the logits from the original ones."""
        logits = self.network.classify(self.outputs)
        return float((logits - self.logits[:, :, 0]).square().mean())

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
        return normal_equations(
            self._input(conv), target, conv.kernel, conv.padding, conv.row_stride
        )

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
