"""`LowerToKernels`: NCHW operators become fused HWC kernels on packed weights.

Longer than other modules: it has a method for each operator that needs the tables of all lowered
tensors and their scales. What needs its own tensor alone is in `lowering/`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax

from relay_passes.channels.op_kind import is_of_rows
from relay_passes.dataflow import Dataflow, array, is_call, shape
from relay_passes.lowering.convolution import lower_conv2d
from relay_passes.lowering.kernel_builder import KernelBuilder
from relay_passes.lowering.layout import PackedTensor
from relay_passes.lowering.pools import dequantize, lower_average_pool, lower_max_pool
from relay_passes.lowering.stacked_rows import stacked_image
from relay_passes.lowering.window_sums import lower_sum_pool, summed_contexts
from schedules.isa import Isa
from schedules.requantize_table import requantization
from schedules.workloads.bfloat16 import Bf16Normalise
from schedules.workloads.integer import GroupChannels
from schedules.workloads.lookup import LookUp
from schedules.workloads.normalisation import Divide, MeanSquare, Normalise


@tvm.transform.module_pass(opt_level=0, name="LowerToKernels")
class LowerToKernels:
    """One kernel for each convolution with the operators after it, on HWC tensors::

        relu(conv2d(x, W) + b)        =>  call_tir(conv2d, pad(x), pack(W), b)
        max_pool2d(slice(x, 0:k))     =>  call_tir(max_pool, view(x, 0:k))
        max_pool2d(repeat(x, n, 2))   =>  call_tir(max_pool of repeated rows, view(x))
        concat(a, b), squeeze(x)      =>  the same, on HWC
        main(x: float32 NCHW image)   =>  main(pixels: uint8 HWC image), normalised by a kernel

    with `x = (pixels - offset) * scale`.

    An integer convolution includes its requantization. Contexts of integers are sums of 16 bits,
    and a convolution by int8 weights adds them up exactly; where that is not possible, a context
    pool includes the `dequantize` that it reads. A quantized image is read as it is if its scale is
    1, else through a lookup table; so is an integer tensor that is quantized again. For tile
    registers the rows of the first window are stacked (`lowering/stacked_rows.py`). int8 weights of
    a float convolution are dequantized by a kernel of constants, or by the convolution itself if
    they are used for few pixels. A convolution in bfloat16 includes the rounding of what it emits.

    The remaining `pad`, `strided_slice` and `concat` only place a tensor in memory
    (`lprnet/compiler/memory_plan.py`); no kernel runs for them. Output channels are padded with
    zeros to whole register tiles. Precondition: the form that `reduce_graph` leaves; anything else
    raises `ValueError`, and int8 weights whose products the ISA would sum with saturation raise
    `PairSumError`.
    """

    def __init__(self, isa: Isa, offset: float, scale: float) -> None:
        self.isa = isa
        self.offset, self.scale = offset, scale

    def transform_module(
        self, module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> tvm.IRModule:
        """The module with `main` lowered and one PrimFunc for each distinct kernel."""
        lowering = _Lowering(Dataflow(module["main"]), self.isa, self.offset, self.scale)
        return lowering.run()


_Method = Callable[["_Lowering", relax.Var, relax.Call], tuple[relax.Var, PackedTensor]]


class _Lowering:
    """Lowers `graph` operator by operator."""

    def __init__(self, graph: Dataflow, isa: Isa, offset: float, scale: float) -> None:
        self.graph = graph
        self.offset, self.scale = offset, scale
        self.builder = KernelBuilder(graph, isa)
        self.tensors: dict[relax.Var, PackedTensor] = {}
        self.scales: dict[relax.Var, float] = {}
        self.contexts = summed_contexts(graph)

    def run(self) -> tvm.IRModule:
        (image,) = self.graph.parameters
        _, channels, height, width = shape(image)
        pixels = relax.Var("pixels", relax.TensorType((height, width, channels), "uint8"))
        with self.builder.block_builder.function("main", [pixels]):
            with self.builder.block_builder.dataflow():
                self.tensors[image] = self._image(image, pixels)
                for var, value in self.graph.values.items():
                    if var not in self.builder.fused:
                        last, tensor = self._lower(var, value)
                        self.tensors[last] = tensor
                result = self.builder.block_builder.emit_output(
                    self.tensors[self.graph.result].tensor
                )
            self.builder.block_builder.emit_func_output(result)
        return self.builder.block_builder.get()

    def _image(self, image: relax.Var, pixels: relax.Var) -> PackedTensor:
        """The first convolution's input: normalised values, or the pixels if it is quantized or
        rounded.
        """
        height, width, channels = shape(pixels)
        users = [self.graph.values[user] for user in self.graph.users[image]]
        if all(is_call(user, "quantize") or is_call(user, "astype") for user in users):
            return PackedTensor(pixels, height, width, ((channels, channels),))
        normalise = Normalise(height, width, channels, self.offset, self.scale)
        normalised = self.builder.call(normalise, [pixels])
        return PackedTensor(normalised, height, width, ((channels, channels),))

    def _lower(self, var: relax.Var, value: relax.Expr) -> tuple[relax.Var, PackedTensor]:
        """The last variable of the operators fused from `var` on, and its lowered value."""
        if isinstance(value, relax.Call):
            lower = self.LOWERINGS.get(getattr(value.op, "name", "").removeprefix("relax."))
            if lower is not None:
                return lower(self, var, value)
        if isinstance(value, relax.Var):
            return var, self.tensors[value]
        raise ValueError(f"no kernel covers {value}")

    def _conv2d(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, PackedTensor]:
        contexts = self.contexts
        if contexts is not None and not var.same_as(contexts.conv):
            contexts = None
        return lower_conv2d(self.builder, self.tensors[value.args[0]], var, value, contexts)

    def _quantize(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, PackedTensor]:
        """Pixels and quantized tensors are integers; a table converts them if scales differ."""
        source = value.args[0]
        if source not in self.graph.parameters and source not in self.scales:
            raise ValueError(f"no kernel covers {value}")
        scale, zero_point = (np.asarray(array(a)).item() for a in value.args[1:3])
        tensor, qmax = self.tensors[source], int(np.iinfo(value.attrs.out_dtype).max)
        if source in self.scales:
            table = requantization(self.scales[source], 0, scale, zero_point, qmax)
            return var, self._look_up(tensor, table)
        if (scale, zero_point) != (1.0, 0):
            table = requantization(self.scale, self.offset, scale, zero_point, qmax)
            tensor = self._look_up(tensor, table)
        stack = stacked_image(self.graph, var, tensor, self.builder.isa)
        if stack is not None:
            stacked = self.builder.call(stack, [tensor.tensor])
            segments = ((stack.stacked, stack.padded),)
            extents = (stack.height, stack.width, segments, stack.rows)
            return var, PackedTensor(stacked, *extents)
        group = GroupChannels(tensor.height, tensor.width, tensor.logical)
        grouped = self.builder.call(group, [tensor.tensor])
        segments = ((group.channels, group.padded),)
        return var, PackedTensor(grouped, group.height, group.width, segments)

    def _look_up(self, source: PackedTensor, table: NDArray[np.uint8]) -> PackedTensor:
        """`table` applied to every value. Padding channels may change, but their weights are 0."""
        workload = LookUp(*shape(source.tensor))
        return replace(
            source, tensor=self.builder.call(workload, [source.tensor, relax.const(table)])
        )

    def _dequantize_lazily(
        self, var: relax.Var, value: relax.Call
    ) -> tuple[relax.Var, PackedTensor]:
        """Weights are left to their convolution, tensors to the pools that read them."""
        if array(value.args[0]) is not None:
            return var, PackedTensor(value.args[0], 1, 1, ())
        self.scales[var] = np.asarray(array(value.args[1])).item()
        return var, self.tensors[value.args[0]]

    def _astype(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, PackedTensor]:
        """The image in bfloat16, by its normalisation; pools read bfloat16 as it is."""
        source, tensor = value.args[0], self.tensors[value.args[0]]
        if source in self.graph.parameters:
            extents = (tensor.height, tensor.width, tensor.logical)
            normalise = Bf16Normalise(*extents, self.offset, self.scale)
            normalised = self.builder.call(normalise, [tensor.tensor])
            segments = ((normalise.channels, normalise.padded),)
            return var, replace(tensor, tensor=normalised, segments=segments)
        if (str(source.ty.dtype), str(value.attrs.dtype)) != ("bfloat16", "float32"):
            raise ValueError(f"no kernel covers {value}")
        return var, tensor

    def _max_pool(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, PackedTensor]:
        return var, lower_max_pool(self.builder, self.tensors[value.args[0]], var, value)

    def _repeat(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, PackedTensor]:
        """Rows are repeated by the max pool that reads them."""
        pool = self.builder.fuse(var, "nn.max_pool2d")
        if pool is None or not is_of_rows(value):
            raise ValueError(f"no kernel covers {value}")
        source, times = self.tensors[value.args[0]], int(value.attrs.repeats)
        lowered = lower_max_pool(self.builder, source, pool, self.graph.values[pool], times)
        return pool, lowered

    def _average_pool(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, PackedTensor]:
        source, scale = self.tensors[value.args[0]], self.scales.get(value.args[0])
        if self.contexts is not None and var in self.contexts.pools:
            return var, lower_sum_pool(self.builder, source, var, value)
        return var, lower_average_pool(self.builder, source, scale, var, value)

    def _leading_channels(
        self, var: relax.Var, value: relax.Call
    ) -> tuple[relax.Var, PackedTensor]:
        """A slice of the leading channels; no value moves."""
        source = self.tensors[value.args[0]]
        axes, begin, *_ = ([int(n.value) for n in entries.fields] for entries in value.args[1:])
        strides = [int(n.value) for entries in value.args[4:] for n in entries.fields]
        if axes != [1] or begin != [0] or strides not in ([], [1]) or len(source.segments) != 1:
            raise ValueError(f"no kernel covers {value}")
        _, channels, height, width = shape(var)
        ((_, physical),) = source.segments
        return var, PackedTensor(source.tensor, height, width, ((channels, physical),))

    def _concat(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, PackedTensor]:
        if int(value.attrs.axis) != 1:
            raise ValueError(f"no kernel covers {value}")
        parts = [self.tensors[field] for field in value.args[0].fields]
        tensor = self.builder.block_builder.emit(
            relax.op.concat([part.tensor for part in parts], axis=2)
        )
        segments = tuple(segment for part in parts for segment in part.segments)
        return var, PackedTensor(tensor, parts[0].height, parts[0].width, segments)

    def _squeeze(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, PackedTensor]:
        if [int(axis) for axis in value.attrs.axis] != [2]:
            raise ValueError(f"no kernel covers {value}")
        return var, self.tensors[value.args[0]]

    def _mean_square(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, PackedTensor]:
        source = self.tensors[value.args[0]]
        if value.args[0] in self.scales:
            source = dequantize(self.builder, source, self.scales[value.args[0]])
        count = source.height * source.width * source.logical
        last = self.builder.fuse(var, "mean")
        if last is None or len(source.segments) != 1 or shape(last)[1:] != (1, 1, 1):
            raise ValueError(f"no kernel covers {value}")
        scaled = self.builder.fuse(last, "multiply")
        scale = 1.0 / count
        if scaled is not None:
            factor = np.asarray(array(self.graph.values[scaled].args[1])).item()
            last, scale = scaled, scale * factor
        workload = MeanSquare(source.height, source.width, source.physical, scale)
        out = self.builder.call(workload, [source.tensor])
        return last, PackedTensor(out, 1, 1, ((1, 1),))

    def _divide(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, PackedTensor]:
        source, divisor = (self.tensors[argument] for argument in value.args)
        workload = Divide(source.height, source.width, source.physical)
        out = self.builder.call(workload, [source.tensor, divisor.tensor])
        return var, PackedTensor(out, source.height, source.width, source.segments)

    LOWERINGS: ClassVar[dict[str, _Method]] = {
        "quantize": _quantize,
        "dequantize": _dequantize_lazily,
        "astype": _astype,
        "nn.conv2d": _conv2d,
        "nn.max_pool2d": _max_pool,
        "repeat": _repeat,
        "nn.avg_pool2d": _average_pool,
        "strided_slice": _leading_channels,
        "concat": _concat,
        "squeeze": _squeeze,
        "square": _mean_square,
        "divide": _divide,
    }
    """Relax operator to the method that lowers it."""
