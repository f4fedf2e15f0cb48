"""`KernelBuilder`: emits kernel calls into the lowered function."""

import tvm
from tvm import relax

from relay_passes.dataflow import Dataflow, is_call, shape
from relay_passes.lowering.layout import PackedTensor
from schedules.isa import Isa
from schedules.workloads.workload import Workload


class KernelBuilder:
    """Builds the lowered form of `graph` for `isa`.

    `block_builder` holds what has been built, `fused` the operators that became part of a kernel.
    """

    def __init__(self, graph: Dataflow, isa: Isa) -> None:
        self.graph = graph
        self.isa = isa
        self.block_builder = relax.BlockBuilder()
        self.fused: set[relax.Var] = set()
        self._kernels: dict[Workload, tvm.ir.GlobalVar] = {}

    def call(self, workload: Workload, arguments: list[relax.Expr]) -> relax.Var:
        """Emit a call of the kernel `workload`, which is added to the module if it is new."""
        if workload not in self._kernels:
            self._kernels[workload] = self.block_builder.add_func(
                workload.prim_func(), workload.name
            )
        *_, out = workload.prim_func().params
        out_type = relax.TensorType([int(extent) for extent in out.shape], out.dtype)
        return self.block_builder.emit(relax.call_tir(self._kernels[workload], arguments, out_type))

    def fuse(self, var: relax.Var, operator: str) -> relax.Var | None:
        """The single user of `var` if it calls `operator`; it becomes part of `var`'s kernel."""
        user = self.graph.single_user(var)
        if user is None or not is_call(self.graph.values[user], operator):
            return None
        self.fused.add(user)
        return user

    def view(self, source: PackedTensor, height: int, width: int, channels: int) -> relax.Expr:
        """The first `height` rows, `width` columns and `channels` physical channels of `source`."""
        extents = [height, width, channels]
        if extents == list(shape(source.tensor)):
            return source.tensor
        slice_ = relax.op.strided_slice(source.tensor, [0, 1, 2], [0, 0, 0], extents)
        return self.block_builder.emit(slice_)
