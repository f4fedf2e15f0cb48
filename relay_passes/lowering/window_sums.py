"""Lowers the contexts of an integer network and the convolution that reads them to exact sums."""

from dataclasses import dataclass

import numpy as np
from tvm import relax

from relay_passes.dataflow import Dataflow, array, is_call, pair, shape
from relay_passes.lowering.kernel_builder import KernelBuilder
from relay_passes.lowering.layout import Array, PackedTensor
from relay_passes.lowering.pools import output_windows, pad_to_vectors
from schedules.workloads.pool_windows import read_extents
from schedules.workloads.window_sums import CENTRE, MOST_SUMMED, PAIR, SumConv, SumPool

LARGEST_SUM = 2**31 - 1


@dataclass(frozen=True)
class SummedContexts:
    """A convolution of a concatenation of average pools that read integers, all of them exact."""

    pools: tuple[relax.Var, ...]
    steps: tuple[float, ...]
    """Of each pool: what one of its sums stands for."""
    conv: relax.Var


def summed_contexts(graph: Dataflow) -> SummedContexts | None:
    """The contexts of `graph` that are sums, or None where some are not: the context norm is the
    image's own, weights are real, or a sum fits no 16 bits, or one of their products no 32.
    """
    for conv, value in graph.values.items():
        if is_call(value, "nn.conv2d"):
            found = _of_convolution(graph, conv, value)
            if found is not None:
                return found
    return None


def _of_convolution(graph: Dataflow, conv: relax.Var, value: relax.Call) -> SummedContexts | None:
    concat, weights = graph.match(value.args[0], "concat"), graph.match(value.args[1], "dequantize")
    if concat is None or weights is None or graph.single_user(value.args[0]) is None:
        return None
    add = graph.single_user(conv)
    followers = [] if add is None else graph.users[add]
    activated = any(is_call(graph.values[user], "nn.relu") for user in followers)
    integers = np.asarray(array(weights.args[0])).astype("int64")
    plain = not any(value.attrs.padding) and pair(value.attrs.strides) == (1, 1)
    if integers.shape[2:] != (1, 1) or not plain or activated:
        return None
    steps, first = [], 0
    for pool in concat.args[0].fields:
        channels = shape(pool)[1]
        largest = np.abs(integers[:, first : first + channels, 0, 0]).sum(1).max()
        step = _step(graph, pool, float(largest))
        if step is None:
            return None
        steps.append(step)
        first += channels
    return SummedContexts(tuple(concat.args[0].fields), tuple(steps), conv)


def _step(graph: Dataflow, pool: relax.Var, weights: float) -> float | None:
    """What one of the sums of `pool` stands for; `weights` is the largest sum of magnitudes of the
    weights of one output.
    """
    value = graph.match(pool, "nn.avg_pool2d")
    if value is None or graph.single_user(pool) is None or any(value.attrs.padding):
        return None
    source = graph.match(value.args[0], "dequantize")
    scale = None if source is None else array(source.args[1])
    if source is None or scale is None or scale.size != 1:
        return None
    window = int(np.prod(pair(value.attrs.pool_size)))
    largest = window * int(np.iinfo(str(source.args[0].ty.dtype)).max)
    if window > MOST_SUMMED or weights * largest > LARGEST_SUM:
        return None
    return float(scale.item()) / window


def lower_sum_pool(
    builder: KernelBuilder, source: PackedTensor, var: relax.Var, value: relax.Call
) -> PackedTensor:
    """Emit the window sums of the average pool `value`, which `var` is defined by, of integers."""
    (height, width), kernel, stride = output_windows(var, value)
    channels = pad_to_vectors(source.logical, builder.isa)
    workload = SumPool(height, width, channels, kernel, stride)
    rows, columns = read_extents((height, width), kernel, stride)
    view = builder.view(source, rows, columns, channels)
    segments = ((source.logical, channels),)
    return PackedTensor(builder.call(workload, [view]), height, width, segments)


def lower_sum_conv(
    builder: KernelBuilder,
    contexts: SummedContexts,
    source: PackedTensor,
    weight: Array,
    scale: Array,
    bias: Array,
) -> PackedTensor:
    """Emit the convolution of `source`, whose segments are the contexts, by int8 `weight`
    `(O, I, 1, 1)` with `scale` and `bias` `(O,)`.
    """
    lanes, out_channels = builder.isa.float_lanes, len(weight)
    block = -(-out_channels // lanes) * lanes
    widths = tuple(physical for _, physical in source.segments)
    workload = SumConv(source.height, source.width, widths, out_channels, block)
    scattered = source.scatter_channels(weight, workload.channels)[:, :, 0, 0]
    taken = [
        part.astype("int64").sum(1) * CENTRE
        for part in np.split(scattered, np.cumsum(widths)[:-1], axis=1)
    ]
    pairs = scattered.reshape(out_channels, -1, PAIR).transpose(1, 0, 2).reshape(-1)
    packed = np.pad(pairs, (0, workload.elements - pairs.size))
    start = np.stack(taken).astype("int32")  # modulo 2**32
    multiplier = np.outer(contexts.steps, scale.astype("float64")).astype("float32")
    padding = (0, block - out_channels)
    arguments = [
        source.tensor,
        relax.const(packed),
        relax.const(np.pad(start, ((0, 0), padding))),
        relax.const(np.pad(multiplier, ((0, 0), padding))),
        relax.const(np.pad(bias, padding)),
    ]
    out = builder.call(workload, arguments)
    return PackedTensor(out, source.height, source.width, ((out_channels, block),))
