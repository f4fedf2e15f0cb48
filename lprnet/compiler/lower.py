"""A network as kernels for one instruction set: every pass, in the order of `pipeline.py`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tvm

from lprnet.compiler.network import CompilerInput
from lprnet.model.preprocessing import OFFSET, SCALE
from lprnet.support.errors import UserError
from relay_passes.lowering.check_pair_sums import PairSumError
from relay_passes.lowering.pools import PoolError
from relay_passes.lowering.tile_convolution import TileError
from relay_passes.pipeline import lower_graph, lowering_passes, quantize_graph
from schedules.isa import Isa


def lower(network: CompilerInput, isa: Isa) -> tvm.IRModule:
    """`network` as `main(pixels: uint8 (24, 94, 3))` that calls kernels, not scheduled yet.

    Raises `PairSumError` where `isa` cannot multiply its int8 weights exactly, `PoolError` for a
    max pool that no kernel covers, and `TileError` for a convolution too narrow for bf16.
    """
    quantized = quantize_graph(network.module, network.scales, OFFSET, SCALE)
    return lower_graph(quantized, isa, OFFSET, SCALE)


def passes_of(network: CompilerInput, isa: Isa) -> tuple[str, ...]:
    """The names of all passes from the model to its kernels, in order."""
    return (*network.passes, *lowering_passes(isa, network.scales, OFFSET, SCALE))


@contextmanager
def weights_of(checkpoint: Path) -> Iterator[None]:
    """Makes one of these errors inside the `UserError` that it is for the user of
    `checkpoint`.
    """
    try:
        yield
    except (PairSumError, PoolError, TileError) as error:
        raise UserError(f"{checkpoint}: {error}") from error
