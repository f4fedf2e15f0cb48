"""`FoldContextNorm`: calibrated context constants become the container convolution's weights."""

import numpy as np
import tvm
from tvm import relax

from relay_passes.dataflow import Dataflow, New, array, conv2d_like, is_call, shape


@relax.transform.function_pass(opt_level=0, name="FoldContextNorm")
class FoldContextNorm:
    """Each branch of a concatenation that is divided by a constant::

        conv2d(concat(a / k, b / m, ...), [Wa Wb ...])
            =>  conv2d(concat(a, b, ...), [Wa / k, Wb / m ...])

    Precondition: `k`, `m` are single finite constants other than 0, and the convolution is the
    single user of the concatenation. A division by the image's own mean square (no constants were
    calibrated) is left alone.
    """

    def transform_function(
        self, function: relax.Function, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> relax.Function:
        """The function with constant divisors folded into the convolutions that read them."""
        graph = Dataflow(function)

        def rewrite(_var: relax.Var, value: relax.Expr, new: New) -> relax.Expr | None:
            if not is_call(value, "nn.conv2d") or graph.single_user(value.args[0]) is None:
                return None
            concat, weight = graph.match(value.args[0], "concat"), array(value.args[1])
            if concat is None or weight is None or concat.attrs.axis != 1:
                return None
            branches, divisors = [], []
            for branch in concat.args[0].fields:
                dividend, divisor = _divided_by_constant(graph, branch)
                branches.append(new(dividend))
                divisors.append(np.full(shape(branch)[1], divisor))
            scaled = weight / np.concatenate(divisors).reshape(1, -1, 1, 1)
            return conv2d_like(value, relax.op.concat(branches, axis=1), scaled)

        return graph.rebuild(rewrite)


def _divided_by_constant(graph: Dataflow, branch: relax.Expr) -> tuple[relax.Expr, float]:
    """`x / k` as `(x, k)`; anything else as itself over 1."""
    divide = graph.match(branch, "divide")
    divisor = None if divide is None else array(divide.args[1])
    if divide is None or divisor is None or divisor.size != 1:
        return branch, 1.0
    foldable = np.isfinite(divisor).all() and divisor.item() != 0
    return (divide.args[0], float(divisor.item())) if foldable else (branch, 1.0)
