"""PrimFunc to Workload: what kernel is this, by its structure alone.

A function is one of ours if rebuilding the workload that its buffer shapes suggest gives the same
structure; otherwise the answer is None, never a guess.
"""

from collections.abc import Iterator

import tvm_ffi
from tvm import tirx
from tvm.tirx.buffer import is_buffer_var

from schedules.workloads.float import (
    AveragePool,
    Conv2d,
    Divide,
    MaxPool,
    MeanSquare,
    Normalise,
    Workload,
)
from schedules.workloads.integer import (
    DequantizedAveragePool,
    DequantizeWeight,
    GroupChannels,
    QuantizedConv2d,
)
from schedules.workloads.lookup import LookUp
from schedules.workloads.sparse_weights import LANES, ExpandWeight
from schedules.workloads.weights_only import WeightOnlyConv2d

Shape = tuple[int, ...]


def match(function: tirx.PrimFunc) -> Workload | None:
    """The workload that `function` computes, or None if it is none of ours."""
    anonymous = function.without_attr("global_symbol")
    for candidate in _candidates(function):
        rebuilt = candidate.prim_func().without_attr("global_symbol")
        if tvm_ffi.structural_equal(rebuilt, anonymous):
            return candidate
    return None


def _candidates(function: tirx.PrimFunc) -> Iterator[Workload]:
    """Every workload with buffers of these shapes."""
    shapes = _static_shapes(function)
    ranks = [len(shape) for shape in shapes]
    if ranks == [3, 5, 1, 3] and "out_channels" in function.attrs:
        _, (_, kernel_height, kernel_width, channels, block), _, (height, width, _) = shapes
        out_channels = int(function.attrs["out_channels"])
        window = (height, width, channels, kernel_height, kernel_width, out_channels, block)
        yield Conv2d(*window)
        yield Conv2d(*window, relu=False)
    elif ranks == [3, 6, 1, 1, 3] and {"out_channels", "levels"} <= set(function.attrs.keys()):
        (_, _, channels), packed, _, _, (height, width, _) = shapes
        attributes = [int(function.attrs[name]) for name in ("out_channels", "levels")]
        _, kernel_height, kernel_width, _, block, _ = packed
        out_channels, levels = attributes
        extents = (height, width, channels, kernel_height, kernel_width)
        yield QuantizedConv2d(*extents, out_channels, block, levels)
    elif ranks == [3, 1, 1, 1, 3] and "window" in function.attrs:
        (_, _, channels), _, _, _, (height, width, _) = shapes
        yield WeightOnlyConv2d(height, width, channels, *map(int, function.attrs["window"]))
    elif ranks == [5, 2, 5]:
        blocks, kernel_height, kernel_width, channels, block = shapes[0]
        yield DequantizeWeight(blocks, kernel_height, kernel_width, channels, block)
    elif ranks == [1, 1, 5]:
        (values,), _, packed = shapes
        yield ExpandWeight(values - LANES, *packed)
    elif ranks == [3, 1, 3]:
        yield LookUp(*shapes[0])
    elif ranks == [3, 3, 3]:
        height, width, channels = shapes[0]
        yield Divide(height, width, channels)
    elif ranks == [3, 3] and {"offset", "scale"} <= set(function.attrs.keys()):
        offset, scale = (float(function.attrs[name]) for name in ("offset", "scale"))
        height, width, channels = shapes[0]
        yield Normalise(height, width, channels, offset, scale)
    elif ranks == [3, 3] and "scale" in function.attrs:
        scale = float(function.attrs["scale"])
        height, width, channels = shapes[0]
        yield MeanSquare(height, width, channels, scale)
        for shape, kernel, stride in _average_pools(shapes):
            yield DequantizedAveragePool(*shape, kernel, stride, scale)
    elif ranks == [3, 3]:
        (rows, columns, _), (height, width, channels) = shapes
        if shapes[0][:2] == shapes[1][:2]:
            yield GroupChannels(height, width, shapes[0][2])
        if rows == height + 2 and width > 1 and (columns - 3) % (width - 1) == 0:
            dtype = str(function.params[0].dtype)
            yield MaxPool(height, width, (columns - 3) // (width - 1), channels, dtype)
        for shape, kernel, stride in _average_pools(shapes):
            yield AveragePool(*shape, kernel, stride)


def _static_shapes(function: tirx.PrimFunc) -> list[Shape]:
    """The shape of each buffer; none at all if a parameter is a scalar or an extent a variable."""
    if not all(is_buffer_var(parameter) for parameter in function.params):
        return []
    shapes = [tuple(buffer.shape) for buffer in function.params]
    if not all(isinstance(extent, tirx.IntImm) for shape in shapes for extent in shape):
        return []
    return [tuple(int(extent) for extent in shape) for shape in shapes]


def _average_pools(
    shapes: list[Shape],
) -> Iterator[tuple[tuple[int, int, int], tuple[int, int], tuple[int, int]]]:
    """Output shape, kernel and stride of every average pool between two shapes."""
    (rows, columns, _), (height, width, channels) = shapes
    for row_window in _windows(rows, height):
        for column_window in _windows(columns, width):
            kernel, stride = zip(row_window, column_window, strict=True)
            yield (height, width, channels), kernel, stride


def _windows(extent: int, outputs: int) -> Iterator[tuple[int, int]]:
    """The (kernel, stride) with stride <= kernel that turn `extent` into exactly `outputs`."""
    if outputs == 1:
        yield extent, extent
        return
    for stride in range(1, extent // outputs + 1):
        kernel = extent - (outputs - 1) * stride
        if kernel >= stride:
            yield kernel, stride
