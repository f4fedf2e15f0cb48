"""`LowerToKernels`: from NCHW operators to fused HWC kernels on packed weights."""

import numpy as np
import tvm
from tvm import relax

from lprnet.targets import Isa
from relay_passes.activation import Activation, Array, is_integer, pack_weight
from relay_passes.dataflow import Dataflow, array, is_call, pair, shape
from relay_passes.pair_sums import check_pair_sums
from schedules.integer_workloads import (
    DequantizedAveragePool,
    DequantizeWeight,
    GroupChannels,
    QuantizedConv2d,
)
from schedules.intrinsics import GROUP
from schedules.scaled_conv2d import MOST_TILES, ScaledConv2d
from schedules.tiles import choose_tile, float_step, integer_step
from schedules.workloads import (
    AveragePool,
    Conv2d,
    Divide,
    MaxPool,
    MeanSquare,
    Normalise,
    Workload,
)


@tvm.transform.module_pass(opt_level=0, name="LowerToKernels")
class LowerToKernels:
    """One kernel for each convolution with what follows it, on HWC activations::

        relu(conv2d(x, W) + b)        =>  call_tir(conv2d, pad(x), pack(W), b)
        max_pool2d(slice(x, 0:k))     =>  call_tir(max_pool, view(x, 0:k))
        concat(a, b), squeeze(x)      =>  the same, on HWC
        main(x: float32 NCHW image)   =>  main(pixels: uint8 HWC image), normalised by a kernel

    An integer convolution ends in its requantization instead, a context pool that reads
    `dequantize` does that itself, a quantized image goes in as it is, and int8 weights of a float
    convolution are dequantized by a kernel of constants, or by the convolution itself where they
    serve few pixels.

    `pad`, `strided_slice` and `concat` that remain say where a tensor lies (`lprnet/arena.py`), no
    kernel runs for them. Output channels are filled up with zeros to whole register tiles.
    Precondition: the form that `reduce_graph` leaves; anything else raises `ValueError`, and int8
    weights whose products the ISA would sum with saturation raise `UserError`.
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
        self.isa = isa
        self.builder = relax.BlockBuilder()
        self.kernels: dict[Workload, tvm.ir.GlobalVar] = {}
        self.activations: dict[relax.Var, Activation] = {}
        self.fused: set[relax.Var] = set()
        self.scales: dict[relax.Var, float] = {}

    def run(self) -> tvm.IRModule:
        (image,) = self.graph.parameters
        _, channels, height, width = shape(image)
        pixels = relax.Var("pixels", relax.TensorType((height, width, channels), "uint8"))
        with self.builder.function("main", [pixels]):
            with self.builder.dataflow():
                self.activations[image] = self._image(image, pixels)
                for var, value in self.graph.values.items():
                    if var not in self.fused:
                        last, activation = self._lower(var, value)
                        self.activations[last] = activation
                result = self.builder.emit_output(self.activations[self.graph.result].tensor)
            self.builder.emit_func_output(result)
        return self.builder.get()

    def _image(self, image: relax.Var, pixels: relax.Var) -> Activation:
        """What the first convolution reads: normalised values, or the pixels themselves."""
        height, width, channels = shape(pixels)
        readers = [self.graph.values[reader] for reader in self.graph.readers[image]]
        if all(is_call(reader, "quantize") for reader in readers):
            group = GroupChannels(height, width, channels)
            grouped = self._call(group, [pixels])
            return Activation(grouped, height, width, ((channels, group.filled),))
        normalised = self._call(Normalise(height, width, channels), [pixels])
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

    def _call(self, workload: Workload, arguments: list[relax.Expr]) -> relax.Var:
        if workload not in self.kernels:
            self.kernels[workload] = self.builder.add_func(workload.prim_func(), workload.name)
        *_, out = workload.prim_func().params
        out_type = relax.TensorType([int(extent) for extent in out.shape], out.dtype)
        return self.builder.emit(relax.call_tir(self.kernels[workload], arguments, out_type))

    def _fuse(self, var: relax.Var, operator: str) -> relax.Var | None:
        """The only reader of `var` if it is `operator`; then it becomes part of `var`'s kernel."""
        reader = self.graph.only_reader(var)
        if reader is None or not is_call(self.graph.values[reader], operator):
            return None
        self.fused.add(reader)
        return reader

    def _view(self, source: Activation, height: int, width: int, channels: int) -> relax.Expr:
        """The first `height` rows, `width` columns and `channels` physical channels."""
        extents = [height, width, channels]
        if extents == list(shape(source.tensor)):
            return source.tensor
        slice_ = relax.op.strided_slice(source.tensor, [0, 1, 2], [0, 0, 0], extents)
        return self.builder.emit(slice_)

    def _conv2d(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, Activation]:
        source = self.activations[value.args[0]]
        weight, scale = self._weight(value.args[1])
        out_channels = len(weight)
        attrs = value.attrs
        plain = all(int(n) == 1 for n in (*attrs.strides, *attrs.dilation, attrs.groups))
        padding = [int(n) for n in attrs.padding]
        if not plain or padding[:2] != padding[2:]:
            raise ValueError(f"no kernel covers {value}")
        integer = is_integer(weight) and scale is None
        bias, last = np.zeros(out_channels, "int32" if integer else "float32"), var
        add = self._fuse(last, "add")
        if add is not None:
            values = array(self.graph.values[add].args[1])
            if values is None or values.size > 1 and values.shape != (1, out_channels, 1, 1):
                raise ValueError(f"no kernel covers {self.graph.values[add]}")
            bias, last = np.broadcast_to(values.reshape(-1), out_channels), add

        tensor, rows, columns = source.tensor, source.height, source.width
        if any(padding):
            top, left = padding[:2]
            widths = [top, top, left, left, 0, 0]
            tensor = self.builder.emit(relax.op.nn.pad(tensor, widths, pad_value=0))
            rows, columns = rows + 2 * top, columns + 2 * left
        padded = Activation(tensor, rows, columns, source.segments)
        if integer:
            largest = int(np.iinfo(str(value.args[0].ty.dtype)).max)
            return self._integer_conv2d(last, padded, weight, bias, largest)
        return self._float_conv2d(last, padded, weight, scale, bias)

    def _weight(self, expression: relax.Expr) -> tuple[Array, Array | None]:
        """OIHW weights, and the `(O,)` scales that make int8 ones real."""
        dequantize = self.graph.match(expression, "dequantize")
        if dequantize is None:
            return np.asarray(array(expression)), None
        weight, scale = (np.asarray(array(argument)) for argument in dequantize.args[:2])
        return weight, np.broadcast_to(scale.reshape(-1), len(weight))

    def _float_conv2d(
        self,
        last: relax.Var,
        source: Activation,
        weight: Array,
        scale: Array | None,
        bias: Array,
    ) -> tuple[relax.Var, Activation]:
        relu = self._fuse(last, "nn.relu")
        out_channels, _, kernel_height, kernel_width = weight.shape
        height, width = source.height - kernel_height + 1, source.width - kernel_width + 1
        channels = source.logical if len(source.segments) == 1 else source.physical
        steps = kernel_height * kernel_width * channels
        tile = choose_tile(height, width, steps, out_channels, float_step(self.isa), self.isa)
        block = tile.vectors * self.isa.float_lanes
        window = (height, width, channels, kernel_height, kernel_width)
        segments = ((out_channels, -(-out_channels // block) * block),)
        if scale is not None and relu is None and height * width <= MOST_TILES * tile.pixels:
            scaled = ScaledConv2d(*window, out_channels, block)
            out = self._scaled_conv2d(scaled, source, weight, scale, bias)
            return last, Activation(out, height, width, segments)
        workload = Conv2d(*window, out_channels, block, relu=relu is not None)
        filled = workload.blocks * block
        packed = relax.const(pack_weight(source.spread(weight, channels), block))
        if scale is not None:
            blocks = workload.blocks
            scales = np.pad(scale, (0, filled - out_channels)).reshape(blocks, block)
            dequantize = DequantizeWeight(blocks, kernel_height, kernel_width, channels, block)
            packed = self._call(dequantize, [packed, relax.const(scales)])
        arguments = [
            self._view(source, source.height, source.width, channels),
            packed,
            relax.const(np.pad(bias, (0, filled - out_channels))),
        ]
        out = self._call(workload, arguments)
        return (last if relu is None else relu), Activation(out, height, width, segments)

    def _scaled_conv2d(
        self, workload: ScaledConv2d, source: Activation, weight: Array, scale: Array, bias: Array
    ) -> relax.Var:
        rows = source.spread(weight, workload.channels).transpose(2, 3, 1, 0).reshape(-1)
        filling = workload.blocks * workload.block - workload.out_channels
        arguments = [
            self._view(source, source.height, source.width, workload.channels),
            *(relax.const(np.pad(values, (0, filling))) for values in (rows, scale, bias)),
        ]
        return self._call(workload, arguments)

    def _integer_conv2d(
        self,
        last: relax.Var,
        source: Activation,
        weight: Array,
        bias: Array,
        largest_input: int,
    ) -> tuple[relax.Var, Activation]:
        chain = [last]
        for operator in ("astype", "astype", "multiply", "round", "clip", "astype"):
            reader = self._fuse(chain[-1], operator)
            if reader is None:
                raise ValueError(f"an integer convolution is not requantized by {operator}")
            chain.append(reader)
        _, _, _, multiply, _, clip, last = chain
        out_channels, _, kernel_height, kernel_width = weight.shape
        height, width = source.height - kernel_height + 1, source.width - kernel_width + 1
        channels = -(-source.logical // GROUP) * GROUP
        steps = kernel_height * kernel_width * channels // GROUP
        tile = choose_tile(height, width, steps, out_channels, integer_step(self.isa), self.isa)
        block = tile.vectors * self.isa.float_lanes
        window = (height, width, channels, kernel_height, kernel_width)
        levels = int(self.graph.values[clip].args[2].value)
        workload = QuantizedConv2d(*window, out_channels, block, levels)
        filled = workload.blocks * block
        multiplier = np.asarray(array(self.graph.values[multiply].args[1])).reshape(-1)
        multiplier = np.broadcast_to(multiplier, out_channels).astype("float32")
        packed = pack_weight(source.spread(weight, channels), block)
        grouped = packed.reshape(*packed.shape[:3], channels // GROUP, GROUP, block)
        grouped = np.ascontiguousarray(grouped.swapaxes(4, 5))
        if self.isa.weight_bits < 8:
            check_pair_sums(grouped, largest_input)
        arguments = [
            self._view(source, source.height, source.width, channels),
            relax.const(grouped),
            relax.const(np.pad(bias, (0, filled - out_channels))),
            relax.const(np.pad(multiplier, (0, filled - out_channels))),
        ]
        out = self._call(workload, arguments)
        segments = ((out_channels, filled),)
        return last, Activation(out, height, width, segments)

    def _quantize(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, Activation]:
        """The pixels of the image are integers already."""
        if (
            value.args[0] not in self.graph.parameters
            or np.asarray(array(value.args[1])).item() != 1.0
        ):
            raise ValueError(f"no kernel covers {value}")
        return var, self.activations[value.args[0]]

    def _dequantize(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, Activation]:
        """Left to the convolution whose weights they are, or to the pools that read it."""
        if array(value.args[0]) is not None:
            return var, Activation(value.args[0], 1, 1, ())
        self.scales[var] = np.asarray(array(value.args[1])).item()
        return var, self.activations[value.args[0]]

    def _fill(self, channels: int) -> int:
        """`channels` filled up to whole vectors."""
        return -(-channels // self.isa.float_lanes) * self.isa.float_lanes

    def _max_pool(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, Activation]:
        source, attrs = self.activations[value.args[0]], value.attrs
        row_stride, column_stride = (int(n) for n in attrs.strides)
        square = all(int(n) == 3 for n in attrs.pool_size) and not any(attrs.padding)
        if not square or row_stride != 1 or len(source.segments) != 1:
            raise ValueError(f"no kernel covers {value}")
        _, _, height, width = shape(var)
        dtype = str(source.tensor.ty.dtype)
        workload = MaxPool(height, width, column_stride, self._fill(source.logical), dtype)
        view = self._view(source, height + 2, (width - 1) * column_stride + 3, workload.channels)
        segments = ((source.logical, workload.channels),)
        return var, Activation(self._call(workload, [view]), height, width, segments)

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
        view = self._view(source, rows, columns, workload.channels)
        segments = ((source.logical, workload.channels),)
        return var, Activation(self._call(workload, [view]), height, width, segments)

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
        tensor = self.builder.emit(relax.op.concat([part.tensor for part in parts], axis=2))
        segments = tuple(segment for part in parts for segment in part.segments)
        return var, Activation(tensor, parts[0].height, parts[0].width, segments)

    def _squeeze(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, Activation]:
        if [int(axis) for axis in value.attrs.axis] != [2]:
            raise ValueError(f"no kernel covers {value}")
        return var, self.activations[value.args[0]]

    def _mean_square(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, Activation]:
        source = self.activations[value.args[0]]
        count = source.height * source.width * source.logical
        last = self._fuse(var, "mean")
        if last is None or len(source.segments) != 1 or shape(last)[1:] != (1, 1, 1):
            raise ValueError(f"no kernel covers {value}")
        scaled = self._fuse(last, "multiply")
        scale = 1.0 / count
        if scaled is not None:
            factor = np.asarray(array(self.graph.values[scaled].args[1])).item()
            last, scale = scaled, scale * factor
        workload = MeanSquare(source.height, source.width, source.physical, scale)
        out = self._call(workload, [source.tensor])
        return last, Activation(out, 1, 1, ((1, 1),))

    def _divide(self, var: relax.Var, value: relax.Call) -> tuple[relax.Var, Activation]:
        source, divisor = (self.activations[argument] for argument in value.args)
        workload = Divide(source.height, source.width, source.physical)
        out = self._call(workload, [source.tensor, divisor.tensor])
        return var, Activation(out, source.height, source.width, source.segments)
