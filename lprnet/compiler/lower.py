"""A network as kernels for one instruction set: every pass, in the order of `pipeline.py`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tvm

from lprnet.compiler.frontend import to_relax
from lprnet.compiler.network import CompilerInput
from lprnet.model.lprnet import LPRNet
from lprnet.model.preprocessing import OFFSET, SCALE
from lprnet.support.errors import UserError
from relay_passes.lowering.check_pair_sums import PairSumError
from relay_passes.pipeline import lower_graph, quantize_graph, reduce_graph
from schedules.isa import Isa


def reduce(model: LPRNet) -> tvm.IRModule:
    """`model` in Relax, without what no output needs (`relay_passes.pipeline.reduce_graph`)."""
    return reduce_graph(to_relax(model))


def lower_reduced(reduced: tvm.IRModule, network: CompilerInput, isa: Isa) -> tvm.IRModule:
    """`reduced`, which is `reduce(network.model)`, as what `lower` returns."""
    quantized = quantize_graph(reduced, network.scales, OFFSET, SCALE)
    return lower_graph(quantized, isa, OFFSET, SCALE)


def lower(network: CompilerInput, isa: Isa) -> tvm.IRModule:
    """`network` as `main(pixels: uint8 (24, 94, 3))` that calls kernels, not scheduled yet.

    Raises `PairSumError` where `isa` cannot multiply its int8 weights exactly.
    """
    return lower_reduced(reduce(network.model), network, isa)


@contextmanager
def weights_of(checkpoint: Path) -> Iterator[None]:
    """Makes a `PairSumError` inside the `UserError` that it is for the user of `checkpoint`."""
    try:
        yield
    except PairSumError as error:
        raise UserError(f"{checkpoint}: {error}") from error
