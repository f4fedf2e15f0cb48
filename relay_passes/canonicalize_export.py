"""`CanonicalizeExport`: removes what torch's operator decomposition adds to an exported graph."""

import tvm
from tvm import relax

from relay_passes.dataflow import Dataflow, New, array, constant, is_call


@relax.transform.function_pass(opt_level=0, name="CanonicalizeExport")
class CanonicalizeExport:
    """Three rewrites::

        (max_pool2d(x), zeros_like(...))[0]  =>  max_pool2d(x)
        reshape(constant, shape)             =>  the constant in that shape
        power(x, 2)                          =>  square(x)

    Precondition: the function is one dataflow block. A field of a tuple that an operator returns
    (batch_norm's) is left alone: `FoldBatchNorm` reads it.
    """

    def transform_function(
        self, function: relax.Function, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> relax.Function:
        """The function with the three patterns rewritten."""
        graph = Dataflow(function)

        def rewrite(_var: relax.Var, value: relax.Expr, new: New) -> relax.Expr | None:
            if isinstance(value, relax.TupleGetItem):
                fields = graph.values.get(value.tuple_value, value.tuple_value)
                return new(fields.fields[value.index]) if isinstance(fields, relax.Tuple) else None
            if is_call(value, "reshape") and (values := array(value.args[0])) is not None:
                return constant(values.reshape([int(extent) for extent in value.ty.shape]))
            if is_call(value, "power") and (exponent := array(value.args[1])) is not None:
                return relax.op.square(new(value.args[0])) if (exponent == 2).all() else None
            return None

        return graph.rebuild(rewrite)
