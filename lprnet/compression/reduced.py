"""Reduce first, then compress: an LPRNet as a Relax graph without the channels that no output
needs, and its convolutions to be compressed and bound back.

Which channels a build drops is decided by the compiler's pass alone (`DropDeadChannels`), before
compression and once more for what compression empties.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
import tvm
from torch import Tensor

from lprnet.compiler.frontend import to_relax
from lprnet.compression.compact import CompactNetwork, compact_network
from lprnet.model.architecture import CONTAINER, Architecture
from lprnet.model.conv_graph import check_finite
from lprnet.model.lprnet import LPRNet
from lprnet.support.errors import UserError
from relay_passes.bind_convolutions import Convolution, read_convolutions
from relay_passes.channels.numbers import channel_numbers
from relay_passes.dataflow import Dataflow, is_call
from relay_passes.pipeline import REDUCE, bind, bind_graph, pass_names, reduce_graph


@dataclass(frozen=True)
class ReducedNetwork:
    """A reduced graph (`relay_passes.pipeline.reduce_graph`), compressed or not."""

    module: tvm.IRModule
    passes: tuple[str, ...]
    """The names of those that made it."""
    architecture: Architecture
    context_means: tuple[float, ...] | None
    """Those of the model that was reduced."""

    @cached_property
    def compact(self) -> CompactNetwork:
        """Its convolutions, as tensors of their own.

        Raises `UserError` where the contexts are still normalised per image.
        """
        function = self.module["main"]
        if any(is_call(value, "divide") for value in Dataflow(function).values.values()):
            raise UserError(
                "the model still normalises its contexts per image; calibrate its context means "
                "first"
            )
        named = dict(zip(self._names, read_convolutions(function), strict=True))
        tensors = {
            name: (torch.tensor(one.weight), torch.tensor(one.bias)) for name, one in named.items()
        }
        return compact_network(self.architecture, tensors)

    @property
    def channels(self) -> dict[str, Tensor]:
        """Convolution of the backbone to the numbers, int64, that its channels had in the model
        that was reduced, or in the network that was bound last.
        """
        *backbone, _classes = channel_numbers(self.module["main"])
        named = zip(self.architecture.backbone, backbone, strict=True)
        return {conv.name: torch.from_numpy(one) for conv, one in named}

    def bind(self, network: CompactNetwork) -> "ReducedNetwork":
        """The graph of `network`, which `compact` has become, without what no output needs any
        more.
        """
        convolutions = [
            Convolution(network.weights[name].numpy(), network.biases[name].numpy())
            for name in self._names
        ]
        module = bind_graph(self.module, convolutions)
        return replace(self, module=module, passes=(*self.passes, *pass_names(bind(convolutions))))

    @property
    def _names(self) -> tuple[str, ...]:
        """Of the convolutions, in the order of the graph."""
        return (*(conv.name for conv in self.architecture.backbone), CONTAINER)


def reduce(model: LPRNet) -> ReducedNetwork:
    """`model` without everything that no output needs; the same logits up to rounding.

    Raises `UserError` if the model holds NaN or infinity.
    """
    check_finite(model)
    module = reduce_graph(to_relax(model))
    return ReducedNetwork(module, pass_names(REDUCE), model.architecture, model.context_means)
