"""`FlushSubnormals`: constants too small for a normal float32 become zero."""

import numpy as np
import tvm
from tvm import relax

from relay_passes.dataflow import Dataflow, New, array, constant

MIN_NORMAL = float(np.finfo(np.float32).tiny)


@relax.transform.function_pass(opt_level=0, name="FlushSubnormals")
class FlushSubnormals:
    """In every float32 constant of a call::

        |w| < 2**-126  =>  0

    Arithmetic on subnormals traps to microcode on Intel CPUs. Each product changes by less than
    2**-126 |x|. Precondition: none; a constant without subnormals, or of another dtype, is left
    alone.
    """

    def transform_function(
        self, function: relax.Function, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> relax.Function:
        """The function with its subnormal constants at zero."""

        def rewrite(_var: relax.Var, value: relax.Expr, new: New) -> relax.Expr | None:
            if not isinstance(value, relax.Call):
                return None
            flushed = [_flush(argument) for argument in value.args]
            if all(
                one.same_as(argument) for one, argument in zip(flushed, value.args, strict=True)
            ):
                return None  # whose type then stays too: of a convolution finding it takes 0.7 ms
            return relax.Call(value.op, [new(a) for a in flushed], value.attrs, value.ty_args)

        return Dataflow(function).rebuild(rewrite)


def _flush(argument: relax.Expr) -> relax.Expr:
    values = array(argument)
    if values is None or values.dtype != np.float32:
        return argument
    subnormal = (values != 0) & (np.abs(values) < MIN_NORMAL)
    return constant(np.where(subnormal, 0, values)) if subnormal.any() else argument
