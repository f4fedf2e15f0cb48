"""`CanonicalizeExport`: removes what TVM adds to a graph that torch has exported."""

import tvm
from tvm import relax

from relay_passes.dataflow import Dataflow, New, array, constant, is_call


@relax.transform.function_pass(opt_level=0, name="CanonicalizeExport")
class CanonicalizeExport:
    """One rewrite, of the biases of convolutions::

        reshape(constant, shape)  =>  the constant in that shape

    Precondition: the function is one dataflow block. A reshape of anything else is left alone.
    """

    def transform_function(
        self, function: relax.Function, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> relax.Function:
        """The function with the pattern rewritten."""

        def rewrite(_var: relax.Var, value: relax.Expr, _new: New) -> relax.Expr | None:
            if is_call(value, "reshape") and (values := array(value.args[0])) is not None:
                return constant(values.reshape([int(extent) for extent in value.ty.shape]))
            return None

        return Dataflow(function).rebuild(rewrite)
