"""All kernels of a network as one ahead-of-time function, a PrimFunc over the arena.

`void f(uint8 *images, int64 n, float *logits, float *arena)` runs every kernel once an image, and
kernels that read only constants once a call, in a prologue. It does not check its arguments (images
(n, H, W, 3), logits (n, ...), the arena as large as planned); its caller `dispatch.c` does. Kernels
keep their schedules. Only their buffers are replaced by views of the image, the logits, the arena
and the constants, which the artifact contains (`link.py`). Scratch memory is in the arena too.

A stamped function computes the same and takes the time of each step, a kernel or the zeros around a
tensor (`stamps.py`); of several images in one call, the last one's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import tvm
import tvm_ffi
from tvm import relax, tirx
from tvm.ir import PointerType, PrimType
from tvm.s_tir import renew_defs

from lprnet.compiler.constant_pool import ConstantPool
from lprnet.compiler.kernel_scratch import Kernel, expose_scratch, offsets
from lprnet.compiler.memory_plan import MemoryPlan, View, is_constant_kernel, plan_memory
from lprnet.compiler.stamps import NoStamps, Stamps, Step
from lprnet.compiler.zeros_around import zeros_around
from lprnet.runtime.manifest import PADDING
from relay_passes.dataflow import Dataflow, array, is_call, itemsize, shape
from schedules.amx.conv2d import TILE_REGISTERS
from schedules.packed_results import DENSE
from schedules.pools import IN_PLACE

WEIGHTS_SYMBOL = "lprnet_weights"


@dataclass(frozen=True)
class Program:
    """The whole network as one function for one target."""

    function: tirx.PrimFunc
    arena_bytes: int
    image_shape: tuple[int, ...]
    """(height, width, channels), uint8."""
    logits_shape: tuple[int, ...]
    """One image's output as it is stored: (height, positions, padded classes)."""
    steps: tuple[str, ...] = ()
    """Of a stamped function, in order: a kernel's name, or `PADDING` and a kernel's name."""
    stamped: "Program | None" = None
    """The same network as a stamped function, for an artifact that is built to be profiled."""


def build_aot_function(
    module: tvm.IRModule, name: str, pool: ConstantPool, stamped: bool = False
) -> Program:
    """The kernels that `main` of `module` calls, in order, as one function called `name`.

    Their constants are added to `pool`.
    """
    graph = Dataflow(module["main"])
    # A kernel that is called twice needs separate variables.
    kernels = {
        var: expose_scratch(renew_defs(module[value.args[0]]))
        for var, value in graph.values.items()
        if is_call(value, "call_tir")
    }

    def marked(attribute: str) -> list[relax.Var]:
        attributes = {var: module[graph.values[var].args[0]].attrs or {} for var in kernels}
        return [var for var in kernels if attribute in attributes[var]]

    tiled = marked(TILE_REGISTERS)
    read_whole = [graph.values[var].args[1].fields[0] for var in tiled]
    plan = plan_memory(
        graph,
        {var: offsets(kernel.tensors, 0)[-1] for var, kernel in kernels.items()},
        marked(IN_PLACE),
        [*tiled, *read_whole, *marked(DENSE)],
    )
    tile_bytes = max(offsets(kernel.tiles, 0)[-1] for kernel in kernels.values())
    parameters = _Parameters()
    builder = _AotFunctionBuilder(graph, plan, pool, parameters)
    prologue: list[Step] = []
    per_image: list[Step] = []
    for var, value in graph.values.items():
        if var in kernels:
            part = prologue if is_constant_kernel(graph, value) else per_image
            kernel = builder.kernel(var, value, kernels[var])
            part.append(Step(str(value.args[0].name_hint), kernel))
        elif is_call(value, "nn.pad"):
            zeros = builder.zero_halo(var, [int(n) for n in value.attrs.pad_width])
            per_image.append(Step(PADDING + _first_user(graph, var), zeros))
    steps = tuple(step.name for step in (*prologue, *per_image)) if stamped else ()
    stamps = Stamps(len(steps)) if stamped else NoStamps()
    start, once, again = stamps.start(), stamps.between(prologue), stamps.between(per_image)
    images = tirx.For(
        parameters.image,
        tirx.const(0, "int64"),
        parameters.count,
        tirx.ForKind.SERIAL,
        tirx.SeqStmt(again),
    )
    pointer = tirx.call_extern(PointerType(PrimType("float32")), WEIGHTS_SYMBOL)
    body = tirx.SeqStmt(
        [
            tirx.Bind(parameters.weights, pointer),
            *(_bind_tiles(parameters, plan.size) if tile_bytes else []),
            *start,
            *once,
            images,
        ]
    )
    function = tirx.PrimFunc(
        [parameters.images, parameters.count, parameters.logits, parameters.arena], body
    ).with_attr(
        {
            "global_symbol": name,
            "tirx.noalias": True,
            "s_tir": True,
            "calling_conv": int(tvm.ir.CallingConv.DEVICE_KERNEL_LAUNCH),  # plain C
        }
    )
    return Program(
        function, plan.size + tile_bytes, shape(graph.parameters[0]), shape(graph.result), steps
    )


def _first_user(graph: Dataflow, var: relax.Var) -> str:
    """The name of the first kernel that uses `var` or a view of it."""
    user = graph.users[var][0]
    value = graph.values[user]
    if is_call(value, "call_tir"):
        return str(value.args[0].name_hint)
    return _first_user(graph, user)


def _pointer(name: str, dtype: str) -> tirx.Var:
    return tirx.Var(name, PointerType(PrimType(dtype)))


@dataclass(frozen=True)
class _Parameters:
    """Variables of the function: its parameters, the loop over images, and the addresses of the
    constants and of the tiles.
    """

    images: tirx.Var = field(default_factory=lambda: _pointer("images", "uint8"))
    count: tirx.Var = field(default_factory=lambda: tirx.Var("n", "int64"))
    logits: tirx.Var = field(default_factory=lambda: _pointer("logits", "float32"))
    arena: tirx.Var = field(default_factory=lambda: _pointer("arena", "float32"))
    image: tirx.Var = field(default_factory=lambda: tirx.Var("image", "int64"))
    weights: tirx.Var = field(default_factory=lambda: _pointer("weights", "float32"))
    tiles: tirx.Var = field(default_factory=lambda: _pointer("tiles", "float32"))


def _bind_tiles(parameters: _Parameters, plan_bytes: int) -> list[tirx.Stmt]:
    """The address where all kernels keep their tiles: after the plan, so that no other tensor is
    there and LLVM may reorder what reads and writes them.
    """
    end = tirx.decl_buffer((plan_bytes // 4 + 1,), "float32", "end", data=parameters.arena)
    first = tirx.address_of(end[plan_bytes // 4])
    return [tirx.DeclBuffer(end, data=parameters.arena), tirx.Bind(parameters.tiles, first)]


@dataclass(frozen=True)
class _AotFunctionBuilder:
    """Makes the statements of kernels on the views of a memory plan."""

    graph: Dataflow
    plan: MemoryPlan
    pool: ConstantPool
    parameters: _Parameters

    def kernel(self, var: relax.Var, value: relax.Call, kernel: Kernel) -> list[tirx.Stmt]:
        """The body of the `kernel` that `value` calls, on the views of its arguments."""
        operands = [*value.args[1].fields, var]
        views, statements = {}, []
        for parameter, operand in zip(kernel.function.params, operands, strict=True):
            buffer, data = self._buffer(parameter, operand)
            statements.append(tirx.DeclBuffer(buffer, data=data))
            views[parameter] = buffer
        for scratch, data, start in (
            (kernel.tensors, self.parameters.arena, self.plan.scratch[var]),
            (kernel.tiles, self.parameters.tiles, 0),
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
        """The kernel's parameter as a view, and the pointer to its storage."""
        values = array(operand)
        if values is not None:
            offset = self.pool.intern(values) // values.itemsize
            pointer = self.parameters.weights
            return self._declare(parameter, pointer, offset, None), pointer
        view = self.plan.views[operand]
        data, base = self._base(view, itemsize(operand))
        return self._declare(parameter, data, base + view.offset, view.strides), data

    def _base(self, view: View, itemsize: int) -> tuple[tvm.ir.Expr, tvm.ir.Expr | int]:
        """Pointer to a view's root and its offset there, in elements of `itemsize` bytes."""
        for data, root in (
            (self.parameters.images, self.graph.parameters[0]),
            (self.parameters.logits, self.plan.views[self.graph.result].root),
        ):
            if view.root.same_as(root):
                return data, self.parameters.image * int(np.prod(shape(root)))
        return self.parameters.arena, self.plan.offsets[view.root] // itemsize

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

    def zero_halo(self, var: relax.Var, pad_width: Sequence[int]) -> list[tirx.Stmt]:
        """Zeros around a padded tensor; another kernel writes its middle."""
        view = self.plan.views[var]
        data, base = self._base(view, itemsize(var))
        buffer = tirx.decl_buffer(
            view.shape,
            str(var.ty.dtype),
            "halo",
            data=data,
            strides=view.strides,
            elem_offset=base + view.offset,
        )
        return [tirx.DeclBuffer(buffer, data=data), *zeros_around(buffer, pad_width)]
