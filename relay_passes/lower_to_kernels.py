"""`LowerToKernels`: from NCHW operators to fused HWC kernels on packed weights."""

from dataclasses import replace

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax

from lprnet.compiler.targets import Isa
from lprnet.model.preprocessing import OFFSET, SCALE
from relay_passes.dataflow import Dataflow, array, is_call, pair, shape
from relay_passes.lowering.convolution import lower_conv2d
from relay_passes.lowering.kernel_builder import Emitter
from relay_passes.lowering.layout import Activation
from schedules.requantize_table import requantization
from schedules.workloads.float import (
    AveragePool,
    Divide,
    MaxPool,
    MeanSquare,
    Normalise,
    Workload,
)
from schedules.workloads.integer import DequantizedAveragePool, GroupChannels
from schedules.workloads.lookup import LookUp


@tvm.transform.module_pass(opt_level=0, name="LowerToKernels")
class LowerToKernels:
    """One kernel for each convolution with what follows it, on HWC activations::

        relu(conv2d(x, W) + b)        =>  call_tir(conv2d, pad(x), pack(W), b)
        max_pool2d(slice(x, 0:k))     =>  call_tir(max_pool, view(x, 0:k))
        concat(a, b), squeeze(x)      =>  the same, on HWC
        main(x: float32 NCHW image)   =>  main(pixels: uint8 HWC image), normalised by a kernel

    An integer convolution ends in its requantization instead, a context pool that reads
    `dequantize` does that itself, a quantized image goes in as it is, or through a table where its
    scale is not 1, as what is quantized anew does; int8 weights of a float convolution are
    dequantized by a kernel of constants, or by the convolution itself where they serve few pixels.

    `pad`, `strided_slice` and `concat` that remain say where a tensor lies
    (`lprnet/compiler/memory_plan.py`), no kernel runs for them. Output channels are filled up with
    zeros to whole register tiles. Precondition: the form that `reduce_graph` leaves; anything else
    raises `ValueError`, and int8 weights whose products the ISA would sum with saturation raise
    `UserError`.
    """

    def __init__(self, isa: Isa) -> None:
        self.isa = isa

    def transform_module(
        self, module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> tvm.IRModule:
        """The module with `main` lowered and one PrimFunc for each distinct kernel."""
        lowering = _Lowering(Dataflow(module["main"]), self.isa)
        return lowering.run()


class _Lowering:
    def __init__(self, graph: Dataflow, isa: Isa) -> None:
        self.graph = graph
        self.emit = Emitter(graph, isa)
        self.activations: dict[relax.Var, Activation] = {}
        self.scales: dict[relax.Var, float] = {}

    def run(self) -> tvm.IRModule:
        (image,) = self.graph.parameters
        _, channels, height, width = shape(image)
        pixels = relax.Var("pixels", relax.TensorType((height, width, channels), "uint8"))
        with self.emit.builder.function("main", [pixels]):
            with self.emit.builder.dataflow():
                self.activations[image] = self._image(image, pixels)
                for var, value in self.graph.values.items():
                    if var not in self.emit.fused:
                        last, activation = self._lower(var, value)
                        self.activations[last] = activation
                result = self.emit.builder.emit_output(self.activations[self.graph.result].tensor)
            self.emit.builder.emit_func_output(result)
        return self.emit.builder.get()

    def _image(self, image: relax.Var, pixels: relax.Var) -> Activation:
        """What the first convolution reads: normalised values, or the pixels themselves."""
        height, width, channels = shape(pixels)
        readers = [self.graph.values[reader] for reader in self.graph.readers[image]]
        if all(is_call(reader, "quantize") for reader in readers):
            return Activation(pixels, height, width, ((channels, channels),))
        normalised = self.emit.call(Normalise(height, width, channels), [pixels])
        return Activation(normalised, height, width, ((channels, channels),))

    def _lower(self, var: relax.Var, value: relax.Expr) -> tuple[relax.Var, Activation]:
        """The variable that the operators starting at `var` define, and its lowered value."""
        for operator, lower in (
            ("quantize", self._quantize),
            ("dequantize", self._dequantize),
            ("nn.conv2d", self._conv2d),
            ("nn.max_pool2d", self._max_pool),
            ("nn.avg_pool2d", self._average_pool),
            ("strided_slice", self._prefix),
            ("concat", self._concat),
            ("squeeze", self._squeeze),
            ("square", self._mean_square),
            ("divide", self._divide),
        ):
            if is_call(value, operator):
                return lower(var, value)
        if isinstance(value, relax.Var):
            return var, self.activations[value]
        raise ValueError(f"no kernel covers {value}")

    def _conv2d(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, Activation]:
        return lower_conv2d(self.emit, self.activations[value.args[0]], var, value)

    def _quantize(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, Activation]:
        """Pixels are integers already, and so are activations: at most a table renames them."""
        source = value.args[0]
        if source not in self.graph.parameters and source not in self.scales:
            raise ValueError(f"no kernel covers {value}")
        scale, zero_point = (np.asarray(array(a)).item() for a in value.args[1:3])
        activation, levels = self.activations[source], int(np.iinfo(value.attrs.out_dtype).max)
        if source in self.scales:
            table = requantization(self.scales[source], 0, scale, zero_point, levels)
            return var, self._look_up(activation, table)
        if (scale, zero_point) != (1.0, 0):
            table = requantization(SCALE, OFFSET, scale, zero_point, levels)
            activation = self._look_up(activation, table)
        group = GroupChannels(activation.height, activation.width, activation.logical)
        grouped = self.emit.call(group, [activation.tensor])
        segments = ((group.channels, group.filled),)
        return var, Activation(grouped, group.height, group.width, segments)

    def _look_up(self, source: Activation, table: NDArray[np.uint8]) -> Activation:
        """`table` of every value; a zero that fills up channels stays with zeros of weights."""
        workload = LookUp(*shape(source.tensor))
        return replace(source, tensor=self.emit.call(workload, [source.tensor, relax.const(table)]))

    def _dequantize(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, Activation]:
        """Left to the convolution whose weights they are, or to the pools that read it."""
        if array(value.args[0]) is not None:
            return var, Activation(value.args[0], 1, 1, ())
        self.scales[var] = np.asarray(array(value.args[1])).item()
        return var, self.activations[value.args[0]]

    def _fill(self, channels: int) -> int:
        """`channels` filled up to whole vectors."""
        return -(-channels // self.emit.isa.float_lanes) * self.emit.isa.float_lanes

    def _max_pool(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, Activation]:
        source, attrs = self.activations[value.args[0]], value.attrs
        row_stride, column_stride = (int(n) for n in attrs.strides)
        square = all(int(n) == 3 for n in attrs.pool_size) and not any(attrs.padding)
        if not square or row_stride != 1 or len(source.segments) != 1:
            raise ValueError(f"no kernel covers {value}")
        _, _, height, width = shape(var)
        dtype = str(source.tensor.ty.dtype)
        workload = MaxPool(height, width, column_stride, self._fill(source.logical), dtype)
        view = self.emit.view(
            source, height + 2, (width - 1) * column_stride + 3, workload.channels
        )
        segments = ((source.logical, workload.channels),)
        return var, Activation(self.emit.call(workload, [view]), height, width, segments)

    def _average_pool(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, Activation]:
        source, attrs = self.activations[value.args[0]], value.attrs
        if any(attrs.padding) or len(source.segments) != 1:
            raise ValueError(f"no kernel covers {value}")
        kernel, stride = pair(attrs.pool_size), pair(attrs.strides)
        _, _, height, width = shape(var)
        out_shape = (height, width, self._fill(source.logical))
        workload: Workload = AveragePool(*out_shape, kernel, stride)
        if value.args[0] in self.scales:
            scale = self.scales[value.args[0]]
            workload = DequantizedAveragePool(*out_shape, kernel, stride, scale)
        rows, columns, _ = (int(extent) for extent in workload.prim_func().params[0].shape)
        view = self.emit.view(source, rows, columns, workload.channels)
        segments = ((source.logical, workload.channels),)
        return var, Activation(self.emit.call(workload, [view]), height, width, segments)

    def _real(self, var: relax.Var) -> Activation:
        """`var` in float32: integers are dequantized, an average of single values."""
        source = self.activations[var]
        if var not in self.scales:
            return source
        channels, one = self._fill(source.logical), (1, 1)
        extents = (source.height, source.width, channels)
        workload = DequantizedAveragePool(*extents, one, one, self.scales[var])
        tensor = self.emit.call(workload, [self.emit.view(source, *extents)])
        return Activation(tensor, source.height, source.width, ((source.logical, channels),))

    def _prefix(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, Activation]:
        """The first channels, unmoved."""
        source = self.activations[value.args[0]]
        axes, begin, *_ = ([int(n.value) for n in entries.fields] for entries in value.args[1:])
        strides = [int(n.value) for entries in value.args[4:] for n in entries.fields]
        if axes != [1] or begin != [0] or strides not in ([], [1]) or len(source.segments) != 1:
            raise ValueError(f"no kernel covers {value}")
        _, channels, height, width = shape(var)
        ((_, physical),) = source.segments
        return var, Activation(source.tensor, height, width, ((channels, physical),))

    def _concat(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, Activation]:
        if int(value.attrs.axis) != 1:
            raise ValueError(f"no kernel covers {value}")
        parts = [self.activations[field] for field in value.args[0].fields]
        tensor = self.emit.builder.emit(relax.op.concat([part.tensor for part in parts], axis=2))
        segments = tuple(segment for part in parts for segment in part.segments)
        return var, Activation(tensor, parts[0].height, parts[0].width, segments)

    def _squeeze(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, Activation]:
        if [int(axis) for axis in value.attrs.axis] != [2]:
            raise ValueError(f"no kernel covers {value}")
        return var, self.activations[value.args[0]]

    def _mean_square(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, Activation]:
        source = self._real(value.args[0])
        count = source.height * source.width * source.logical
        last = self.emit.fuse(var, "mean")
        if last is None or len(source.segments) != 1 or shape(last)[1:] != (1, 1, 1):
            raise ValueError(f"no kernel covers {value}")
        scaled = self.emit.fuse(last, "multiply")
        scale = 1.0 / count
        if scaled is not None:
            factor = np.asarray(array(self.graph.values[scaled].args[1])).item()
            last, scale = scaled, scale * factor
        workload = MeanSquare(source.height, source.width, source.physical, scale)
        out = self.emit.call(workload, [source.tensor])
        return last, Activation(out, 1, 1, ((1, 1),))

    def _divide(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, Activation]:
        source, divisor = (self.activations[argument] for argument in value.args)
        workload = Divide(source.height, source.width, source.physical)
        out = self.emit.call(workload, [source.tensor, divisor.tensor])
        return var, Activation(out, source.height, source.width, source.segments)
