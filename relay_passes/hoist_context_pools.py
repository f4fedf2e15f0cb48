"""`HoistContextPools`: each context pool runs right after the tensor it reads is computed."""

import tvm
from tvm import relax

from relay_passes.dataflow import Dataflow, is_call


@relax.transform.function_pass(opt_level=0, name="HoistContextPools")
class HoistContextPools:
    """A pool is bound right after its input, while that is still in the cache::

        y = relu(x); z = max_pool2d(y); ...; c = avg_pool2d(y)
            =>  y = relu(x); c = avg_pool2d(y); z = max_pool2d(y); ...

    Only the order of bindings changes. A pool of the function's parameter stays where it is.
    """

    def transform_function(
        self, function: relax.Function, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> relax.Function:
        """The function with its average pools moved up."""
        graph = Dataflow(function)
        (block,) = function.body.blocks
        early: dict[relax.Var, list[relax.Binding]] = {}
        for binding in block.bindings:
            if is_call(binding.value, "nn.avg_pool2d") and binding.value.args[0] in graph.values:
                early.setdefault(binding.value.args[0], []).append(binding)
        moved = {binding.var for group in early.values() for binding in group}

        bindings: list[relax.Binding] = []

        def place(binding: relax.Binding) -> None:
            bindings.append(binding)
            for follower in early.get(binding.var, ()):
                place(follower)

        for binding in block.bindings:
            if binding.var not in moved:
                place(binding)
        body = relax.SeqExpr([relax.DataflowBlock(bindings)], function.body.body)
        placed = relax.Function(function.params, body, function.ret_ty, attrs=function.attrs)
        return relax.BlockBuilder().normalize(placed)
