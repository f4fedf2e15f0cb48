"""`Emitter`: how lowering writes kernel calls into the function that it builds."""

import tvm
from tvm import relax

from lprnet.compiler.targets import Isa
from relay_passes.dataflow import Dataflow, is_call, shape
from relay_passes.lowering.layout import Activation
from schedules.workloads.float import Workload


class Emitter:
    """Of `graph`, for `isa`: what has been built, and which operators became part of a kernel."""

    def __init__(self, graph: Dataflow, isa: Isa) -> None:
        self.graph = graph
        self.isa = isa
        self.builder = relax.BlockBuilder()
        self.fused: set[relax.Var] = set()
        self._kernels: dict[Workload, tvm.ir.GlobalVar] = {}

    def call(self, workload: Workload, arguments: list[relax.Expr]) -> relax.Var:
        """What `workload` computes of `arguments`."""
        if workload not in self._kernels:
            self._kernels[workload] = self.builder.add_func(workload.prim_func(), workload.name)
        *_, out = workload.prim_func().params
        out_type = relax.TensorType([int(extent) for extent in out.shape], out.dtype)
        return self.builder.emit(relax.call_tir(self._kernels[workload], arguments, out_type))

    def fuse(self, var: relax.Var, operator: str) -> relax.Var | None:
        """The only reader of `var` if it is `operator`; then it becomes part of `var`'s kernel."""
        reader = self.graph.only_reader(var)
        if reader is None or not is_call(self.graph.values[reader], operator):
            return None
        self.fused.add(reader)
        return reader

    def view(self, source: Activation, height: int, width: int, channels: int) -> relax.Expr:
        """The first `height` rows, `width` columns and `channels` physical channels of `source`."""
        extents = [height, width, channels]
        if extents == list(shape(source.tensor)):
            return source.tensor
        slice_ = relax.op.strided_slice(source.tensor, [0, 1, 2], [0, 0, 0], extents)
        return self.builder.emit(slice_)
