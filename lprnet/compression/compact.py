"""The convolutions of a reduced LPRNet as torch runs them: what calibration, refits, pruning and
quantization work on.

`reduced.py` reads them from the reduced graph, without the channels that the compiler drops, and
binds what has become of them back into it.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lprnet.model.architecture import CONTAINER, Architecture, Conv, MaxPool

ConvRelu = Callable[[Conv, Tensor], Tensor]
"""A convolution with its ReLU: `(N, C, H, W)` to `(N, O, H', W')`."""


@dataclass(frozen=True)
class CompactNetwork:
    """Weights (OIHW) and biases (O,) by convolution name, in the order of execution.

    A convolution reads the first channels of its producer's output, as many as its weights have
    inputs. The container reads all channels of the contexts, one context after another; the
    constants of the context norm are part of its weights.
    """

    architecture: Architecture
    """Of the network it was reduced from, whose channels may be more."""
    weights: dict[str, Tensor]
    biases: dict[str, Tensor]

    def conv(self, conv: Conv, x: Tensor) -> Tensor:
        """The float convolution with its bias."""
        return convolve(conv, x, self.weights[conv.name], self.biases[conv.name])

    def conv_relu(self, conv: Conv, x: Tensor) -> Tensor:
        """The float convolution and its ReLU."""
        return self.conv(conv, x).relu()

    def activations(self, x: Tensor, conv_relu: ConvRelu | None = None) -> dict[str, Tensor]:
        """What every convolution of the backbone puts out, after ReLU, by name.

        `x` is whatever the first `conv_relu` reads, `(N, 3, 24, 94)`; `conv_relu` defaults to this
        network's own float convolutions.
        """
        outputs: dict[str, Tensor] = {}
        for conv in self.architecture.backbone:
            x = (conv_relu or self.conv_relu)(conv, self.input(conv, x))
            outputs[conv.name] = x
        return outputs

    def targets(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """For images `(N, 3, 24, 94)`, what every convolution of the backbone puts out before its
        ReLU, by name, and the logits `(N, 68, 18)`.
        """
        outputs: dict[str, Tensor] = {}

        def record(conv: Conv, x: Tensor) -> Tensor:
            outputs[conv.name] = self.conv(conv, x)
            return outputs[conv.name].relu()

        logits = self.classify(self.activations(x, record))
        return outputs, logits

    def input(self, conv: Conv, source: Tensor) -> Tensor:
        """What `conv` reads of its producer's output (or the image): the first channels, pooled."""
        x = source[:, : self.weights[conv.name].shape[1]]
        return x if conv.pool is None else _max_pool2d(x, conv.pool)

    def context_means(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Of the backbone's `outputs`, all contexts `(N, C, 18)`, averaged over their windows and
        over height.
        """
        means = [
            F.avg_pool2d(outputs[context.of], context.kernel, context.stride).mean(dim=2)
            for context in self.architecture.contexts
        ]
        return torch.cat(means, dim=1)

    def logits(self, x: Tensor) -> Tensor:
        """`(N, 3, 24, 94)` to `(N, 68, 18)`."""
        return self.classify(self.activations(x))

    def classify(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """The logits, as `logits` has them, from the backbone's `outputs`."""
        contexts = self.context_means(outputs)
        return F.conv1d(contexts, self.weights[CONTAINER][..., 0], self.biases[CONTAINER])

    def select_channels(self, kept: Mapping[str, Tensor]) -> "CompactNetwork":
        """The network with the output channels `kept`, sorted, of each convolution named there.

        What their consumers made of the others is left out. Precondition: every convolution keeps
        a channel that its consumer reads.
        """
        weights, biases = dict(self.weights), dict(self.biases)
        for name, rows in kept.items():
            weights[name], biases[name] = weights[name][rows], biases[name][rows]
            consumer = self.architecture.consumer(self.architecture.conv(name))
            if consumer is not None:
                columns = rows[rows < self.weights[consumer.name].shape[1]]
                weights[consumer.name] = weights[consumer.name][:, columns]
        columns = torch.cat(
            [
                columns.start + kept.get(name, torch.arange(len(self.biases[name])))
                for name, columns in self.container_columns().items()
            ]
        )
        weights[CONTAINER] = weights[CONTAINER][:, columns]
        return CompactNetwork(self.architecture, weights, biases)

    def container_columns(self) -> dict[str, slice]:
        """By name of the convolution that feeds a context, the container's inputs that are its."""
        columns, start = {}, 0
        for context in self.architecture.contexts:
            stop = start + len(self.biases[context.of])
            columns[context.of] = slice(start, stop)
            start = stop
        return columns


def convolve(conv: Conv, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x` by OIHW `weight` as `conv` has it, which has its own stride and padding."""
    return F.conv2d(x, weight, bias, (conv.row_stride, 1), conv.padding)


def _max_pool2d(x: Tensor, pool: MaxPool) -> Tensor:
    """`F.max_pool2d`, without gradients by the maximum of shifted maps: torch's own compares the
    values of an NCHW map one by one, which took a sixth of the time of a static quantization. The
    gradients of the shifted maps cost more than all convolutions together; training, on maps with
    channels last, takes torch's own, which is fast there: 0.21 s a step of 64 instead of 0.83.
    """
    if pool.row_repeat > 1:
        x = x.repeat_interleave(pool.row_repeat, dim=2)
    if torch.is_grad_enabled():
        return F.max_pool2d(x, pool.kernel, pool.stride)
    for axis, size, stride in zip((2, 3), pool.kernel, pool.stride, strict=True):
        length = x.shape[axis] - size + 1
        x = functools.reduce(
            torch.maximum,
            (
                x.narrow(axis, start, length).unfold(axis, 1, stride)[..., 0]
                for start in range(size)
            ),
        )
    return x


def compact_network(
    architecture: Architecture, tensors: Mapping[str, tuple[Tensor, Tensor]]
) -> CompactNetwork:
    """Of the weight and the bias of each convolution."""
    weights = {name: weight for name, (weight, _) in tensors.items()}
    biases = {name: bias for name, (_, bias) in tensors.items()}
    return CompactNetwork(architecture, weights, biases)
