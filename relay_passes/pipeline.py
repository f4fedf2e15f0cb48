"""The passes in the one order that builds, tests and tunes use."""

from collections.abc import Sequence

import tvm

from relay_passes.bind_convolutions import BindConvolutions, Convolution
from relay_passes.canonicalize_export import CanonicalizeExport
from relay_passes.channels.numbers import has_numbers, number_channels
from relay_passes.compress_sparse_weights import CompressSparseWeights
from relay_passes.drop_dead_channels import DropDeadChannels
from relay_passes.flush_subnormals import FlushSubnormals
from relay_passes.fold_batch_norm import FoldBatchNorm
from relay_passes.fold_context_norm import FoldContextNorm
from relay_passes.fold_normalise import FoldNormalise
from relay_passes.fold_quantize import FoldQuantize
from relay_passes.hoist_context_pools import HoistContextPools
from relay_passes.hoist_height_mean import HoistHeightMean
from relay_passes.insert_quantize import InsertQuantize, LayerScales
from relay_passes.lower_to_kernels import LowerToKernels
from relay_passes.merge_average_pools import MergeAveragePools
from relay_passes.order_sliced_channels import OrderSlicedChannels
from relay_passes.round_to_bfloat16 import RoundToBfloat16
from relay_passes.sink_dequantize import SinkDequantize
from schedules.isa import Isa

# What the export leaves; linear operators into convolutions; less work in each.
REDUCE: tuple[tvm.transform.Pass, ...] = (
    CanonicalizeExport(),
    FoldBatchNorm(),
    FoldContextNorm(),
    HoistHeightMean(),
    MergeAveragePools(),
    DropDeadChannels(),
    OrderSlicedChannels(),
    FlushSubnormals(),
)

# From the reduced graph of weights that bfloat16 holds to activations in bfloat16.
BFLOAT16: tuple[tvm.transform.Pass, ...] = (RoundToBfloat16(),)


def bind(convolutions: Sequence[Convolution]) -> tuple[tvm.transform.Pass, ...]:
    """From the reduced graph to the same with compressed convolutions, and without what they make
    superfluous.
    """
    return (BindConvolutions(convolutions), DropDeadChannels(), FlushSubnormals())


def quantize(
    layers: Sequence[LayerScales | None], offset: float, scale: float
) -> tuple[tvm.transform.Pass, ...]:
    """From the reduced graph of weights that lie on integer grids to integers.

    Only a first layer that computes in integers reads pixels as they are, unless it rounds them
    first (`LayerScales.input_qparams`).
    """
    insert = (InsertQuantize(layers), SinkDequantize(), FoldQuantize())
    return (FoldNormalise(offset, scale), *insert) if reads_pixels(layers) else insert


def reads_pixels(layers: Sequence[LayerScales | None]) -> bool:
    """Whether the first of `layers` computes in integers on pixels as they are."""
    first = layers[0]
    return not (first is None or first.activation_scale is None or first.input_qparams is not None)


def lower(isa: Isa, offset: float, scale: float) -> tuple[tvm.transform.Pass, ...]:
    """From the reduced graph to kernels on packed weights, those with many zeros without them."""
    return (HoistContextPools(), LowerToKernels(isa, offset, scale), CompressSparseWeights())


def pass_names(passes: Sequence[tvm.transform.Pass]) -> tuple[str, ...]:
    """What a manifest records of `passes`."""
    return tuple(str(step.info.name) for step in passes)


def lowering_passes(
    isa: Isa, layers: Sequence[LayerScales | None], offset: float, scale: float
) -> tuple[str, ...]:
    """The names of the passes from the reduced graph to kernels."""
    quantizing = quantize(layers, offset, scale) if layers else ()
    return pass_names((*quantizing, *lower(isa, offset, scale)))


def reduce_graph(module: tvm.IRModule) -> tvm.IRModule:
    """`lprnet.compiler.frontend.to_relax`'s NCHW module with everything removed that no output
    needs.

    What is left of `main(x: (N, 3, 24, 94)) -> (N, 68, 18)` float32 is made of `nn.conv2d`, `add`
    of a `(1, C, 1, 1)` constant, `nn.relu`, `nn.max_pool2d`, `nn.avg_pool2d` (the mean over height
    included), one `concat`, one `squeeze`, and before a max pool that reads only some channels a
    `strided_slice` of the first k. Without calibrated context constants also `square`, `mean`,
    `multiply` and `divide`. Channels are numbered as in `module` (`channels/numbers.py`).
    """
    if not has_numbers(module["main"]):
        module = tvm.IRModule(dict(module.functions.items()))
        module["main"] = number_channels(module["main"])
    return tvm.transform.Sequential(REDUCE, name="reduce_graph")(module)


def bind_graph(module: tvm.IRModule, convolutions: Sequence[Convolution]) -> tvm.IRModule:
    """The reduced module with other convolutions, whose channels are numbered anew, without those
    that no output needs any more.
    """
    return tvm.transform.Sequential(bind(convolutions), name="bind_graph")(module)


def bfloat16_graph(module: tvm.IRModule) -> tvm.IRModule:
    """The reduced module in bfloat16, sums in float32."""
    return tvm.transform.Sequential(BFLOAT16, name="bfloat16_graph")(module)


def quantize_graph(
    module: tvm.IRModule, layers: Sequence[LayerScales | None], offset: float, scale: float
) -> tvm.IRModule:
    """The reduced module in integers, `layers` being the scales of its convolutions in order.

    Convolutions of `layers[i] = None` stay in float32; with no layers at all everything does. What
    reads an integer map in float32 does so through `dequantize`. `main`'s input stands for
    `(pixels - offset) * scale`.
    """
    if not layers:
        return module
    return tvm.transform.Sequential(quantize(layers, offset, scale), name="quantize_graph")(module)


def lower_graph(module: tvm.IRModule, isa: Isa, offset: float, scale: float) -> tvm.IRModule:
    """The reduced module as `main(pixels: uint8 (24, 94, 3))` calling one kernel after another.

    Raises `PairSumError` where `isa` would sum products of the int8 weights with saturation, and
    `PoolError` for a max pool that no kernel covers.
    """
    return tvm.transform.Sequential(lower(isa, offset, scale), name="lower_graph")(module)
