"""All kernels as one PrimFunc over the arena.

`void f(uint8 *images, int64 n, float *logits, float *arena)` runs every kernel once an image, and
those that read only constants once a call. It believes its arguments: images are (n, H, W, 3),
logits (n, ...), the arena as large as planned, and whoever calls it (`lprnet/compiler/dispatch.c`)
has checked that. Kernels keep their schedules; only their buffers are replaced by views of the
image, the logits, the arena and the weights, which the artifact itself holds
(`lprnet/compiler/link.py`). Tensors that a kernel keeps for itself, like transformed weights, or
everything between the loops of a kernel without a schedule, lie in the arena too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tvm
import tvm_ffi
from tvm import relax, tirx
from tvm.ir import PointerType, PrimType
from tvm.s_tir import renew_defs

from lprnet.compiler.kernel_scratch import expose_scratch, offsets
from lprnet.compiler.memory_plan import ALIGNMENT, Arena, View, is_constant_kernel, plan_arena
from relay_passes.dataflow import Dataflow, array, is_call, itemsize, shape
from schedules.pools import IN_PLACE

WEIGHTS_SYMBOL = "lprnet_weights"


@dataclass(frozen=True)
class Program:
    """The whole network as code."""

    function: tirx.PrimFunc
    arena_bytes: int
    image_shape: tuple[int, ...]
    """(height, width, channels), uint8."""
    logits_shape: tuple[int, ...]
    """One image's output as it is stored: (height, positions, filled-up classes)."""


class Weights:
    """The constants of an artifact. What several programs pack alike is stored once."""

    def __init__(self) -> None:
        self.blob = bytearray()
        self._offsets: dict[bytes, int] = {}

    def embed(self, values: np.ndarray) -> int:
        """The byte offset of a constant, a multiple of `ALIGNMENT`."""
        content = values.tobytes()
        if content not in self._offsets:
            self.blob.extend(bytes(-len(self.blob) % ALIGNMENT))
            self._offsets[content] = len(self.blob)
            self.blob.extend(content)
        return self._offsets[content]


def merge_kernels(module: tvm.IRModule, name: str, weights: Weights) -> Program:
    """The kernels that `main` of `module` calls, in order, as one function called `name`.

    Their constants are added to `weights`.
    """
    return _Merge(module, name, weights).run()


class _Merge:
    def __init__(self, module: tvm.IRModule, name: str, weights: Weights) -> None:
        self.module = module
        self.name = name
        self.constants = weights
        self.graph = Dataflow(module["main"])
        # A kernel called twice needs variables of its own in each place.
        self.kernels = {
            var: expose_scratch(renew_defs(module[value.args[0]]))
            for var, value in self.graph.values.items()
            if is_call(value, "call_tir")
        }
        scratch = {var: offsets(kernel.tensors, 0)[-1] for var, kernel in self.kernels.items()}
        in_place = [
            var
            for var, value in self.graph.values.items()
            if is_call(value, "call_tir") and IN_PLACE in (module[value.args[0]].attrs or {})
        ]
        self.plan: Arena = plan_arena(self.graph, scratch, in_place)
        self.image = tirx.Var("image", "int64")
        self.count = tirx.Var("n", "int64")
        (self.pixels,) = self.graph.parameters
        self.images = tirx.Var("images", PointerType(PrimType("uint8")))
        self.logits, self.arena, self.weights, self.tiles = (
            tirx.Var(name, PointerType(PrimType("float32")))
            for name in ("logits", "arena", "weights", "tiles")
        )
        self.once: list[tirx.Stmt] = []
        self.per_image: list[tirx.Stmt] = []

    def run(self) -> Program:
        for var, value in self.graph.values.items():
            if is_constant_kernel(self.graph, value):
                self.once += self._kernel(var, value)
            elif is_call(value, "call_tir"):
                self.per_image += self._kernel(var, value)
            elif is_call(value, "nn.pad"):
                self.per_image += self._zero_halo(var, [int(n) for n in value.attrs.pad_width])
        images = tirx.For(
            self.image,
            tirx.const(0, "int64"),
            self.count,
            tirx.ForKind.SERIAL,
            tirx.SeqStmt(self.per_image),
        )
        pointer = tirx.call_extern(PointerType(PrimType("float32")), WEIGHTS_SYMBOL)
        body = tirx.SeqStmt([tirx.Bind(self.weights, pointer), *self._tiles(), *self.once, images])
        parameters = [self.images, self.count, self.logits, self.arena]
        function = tirx.PrimFunc(parameters, body).with_attr(
            {
                "global_symbol": self.name,
                "tirx.noalias": True,
                "s_tir": True,
                "calling_conv": int(tvm.ir.CallingConv.DEVICE_KERNEL_LAUNCH),  # plain C
            }
        )
        tiles = max(offsets(kernel.tiles, 0)[-1] for kernel in self.kernels.values())
        size = self.plan.size + tiles
        return Program(function, size, shape(self.pixels), shape(self.graph.result))

    def _tiles(self) -> list[tirx.Stmt]:
        """Where all kernels keep their tiles: behind the plan, so that no other tensor lies there
        and LLVM may move what reads and writes them.
        """
        if not any(kernel.tiles for kernel in self.kernels.values()):
            return []
        end = tirx.decl_buffer((self.plan.size // 4 + 1,), "float32", "end", data=self.arena)
        first = tirx.address_of(end[self.plan.size // 4])
        return [tirx.DeclBuffer(end, data=self.arena), tirx.Bind(self.tiles, first)]

    def _kernel(self, var: relax.Var, value: relax.Call) -> list[tirx.Stmt]:
        """The body of the kernel that `value` calls, on the views of its arguments."""
        kernel = self.kernels[var]
        operands = [*value.args[1].fields, var]
        views, statements = {}, []
        for parameter, operand in zip(kernel.function.params, operands, strict=True):
            buffer, data = self._buffer(parameter, operand)
            statements.append(tirx.DeclBuffer(buffer, data=data))
            views[parameter] = buffer
        for scratch, data, start in (
            (kernel.tensors, self.arena, self.plan.scratch[var]),
            (kernel.tiles, self.tiles, 0),
        ):
            for buffer, offset in zip(scratch, offsets(scratch, start), strict=False):
                view = self._declare(buffer, data, offset // buffer.dtype.itemsize, None)
                statements.append(tirx.DeclBuffer(view, data=data))
                views[buffer] = view
        body = tvm_ffi.structural_map(
            kernel.function.body, (tirx.Buffer, lambda b: views.get(b, b))
        )
        return [*statements, body]

    def _buffer(
        self, parameter: tirx.Buffer, operand: relax.Expr
    ) -> tuple[tirx.Buffer, tvm.ir.Expr]:
        """The kernel's parameter as a view, and the pointer it is a view of."""
        values = array(operand)
        if values is not None:
            offset = self.constants.embed(values) // values.itemsize
            return self._declare(parameter, self.weights, offset, None), self.weights
        view = self.plan.views[operand]
        data, base = self._base(view, itemsize(operand))
        return self._declare(parameter, data, base + view.offset, view.strides), data

    def _base(self, view: View, itemsize: int) -> tuple[tvm.ir.Expr, tvm.ir.Expr | int]:
        """Pointer to a view's root and its offset there, in elements of `itemsize` bytes."""
        for data, root in (
            (self.images, self.pixels),
            (self.logits, self.plan.views[self.graph.result].root),
        ):
            if view.root.same_as(root):
                return data, self.image * int(np.prod(shape(root)))
        return self.arena, self.plan.offsets[view.root] // itemsize

    def _declare(
        self,
        like: tirx.Buffer,
        data: tvm.ir.Expr,
        offset: tvm.ir.Expr | int,
        strides: Sequence[int] | None,
    ) -> tirx.Buffer:
        return tirx.decl_buffer(
            like.shape, like.dtype, like.name, data=data, strides=strides, elem_offset=offset
        )

    def _zero_halo(self, var: relax.Var, pad_width: Sequence[int]) -> list[tirx.Stmt]:
        """The zeros around a padded tensor; its middle is another kernel's output."""
        (top, bottom), (left, right) = pad_width[0:2], pad_width[2:4]
        view = self.plan.views[var]
        height, width, channels = view.shape
        data, base = self._base(view, itemsize(var))
        buffer = tirx.decl_buffer(
            view.shape,
            str(var.ty.dtype),
            "halo",
            data=data,
            strides=view.strides,
            elem_offset=base + view.offset,
        )
        rectangles = (
            (range(top), range(width)),
            (range(height - bottom, height), range(width)),
            (range(top, height - bottom), range(left)),
            (range(top, height - bottom), range(width - right, width)),
        )
        zeros = [
            _zero(buffer, rows, columns, channels)
            for rows, columns in rectangles
            if rows and columns
        ]
        return [tirx.DeclBuffer(buffer, data=data), *zeros]


def _zero(buffer: tirx.Buffer, rows: range, columns: range, channels: int) -> tirx.Stmt:
    """Zeros in all channels of a rectangle."""
    row, column, channel = (tirx.Var(name, "int32") for name in ("row", "column", "channel"))
    indices = [row + rows.start, column + columns.start, channel]
    body: tirx.Stmt = tirx.BufferStore(buffer, tirx.const(0, str(buffer.dtype)), indices)
    for var, extent, kind in (
        (channel, channels, tirx.ForKind.VECTORIZED),
        (column, len(columns), tirx.ForKind.SERIAL),
        (row, len(rows), tirx.ForKind.SERIAL),
    ):
        body = tirx.For(var, 0, extent, kind, body)
    return body
