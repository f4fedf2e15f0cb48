"""`SinkDequantize`: max pools, slices and repeated rows are of integers."""

import tvm
from tvm import relax

from relay_passes.dataflow import Dataflow, New, is_call


@relax.transform.function_pass(opt_level=0, name="SinkDequantize")
class SinkDequantize:
    """Dequantization is monotonic and works on each value separately::

        max_pool2d(dequantize(q, s, z))     =>  dequantize(max_pool2d(q), s, z)
        strided_slice(dequantize(q, s, z))  =>  dequantize(strided_slice(q), s, z)
        repeat(dequantize(q, s, z))         =>  dequantize(repeat(q), s, z)

    Precondition: one positive scale for the whole tensor. A padded pool is left alone, because its
    padding is minus infinity.
    """

    def transform_function(
        self, function: relax.Function, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> relax.Function:
        """The function with its dequantizations moved after them."""
        graph = Dataflow(function)
        sunk: dict[relax.Var, relax.Call] = {}
        integers: dict[relax.Var, relax.Expr] = {}

        def rewrite(var: relax.Var, value: relax.Expr, new: New) -> relax.Expr | None:
            pool = is_call(value, "nn.max_pool2d") and not any(value.attrs.padding)
            if not (pool or is_call(value, "strided_slice") or is_call(value, "repeat")):
                return None
            source = value.args[0]
            origin = sunk.get(source, graph.match(source, "dequantize"))
            if origin is None or origin.args[1].ty.ndim != 0:
                return None
            quantized = integers.get(source)
            if quantized is None:
                quantized = new(origin.args[0])
            moved = relax.Call(value.op, [quantized, *value.args[1:]], value.attrs)
            sunk[var], integers[var] = origin, moved
            return relax.Call(origin.op, [moved, *origin.args[1:]], origin.attrs)

        return graph.rebuild(rewrite)
