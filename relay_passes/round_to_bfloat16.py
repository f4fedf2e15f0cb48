"""`RoundToBfloat16`: convolutions on bfloat16, sums in float32."""

import numpy as np
import tvm
from tvm import relax

from relay_passes.dataflow import Dataflow, New, float64, is_call

BFLOAT16 = "bfloat16"


@relax.transform.function_pass(opt_level=0, name="RoundToBfloat16")
class RoundToBfloat16:
    """Every convolution that ends in a ReLU, and what it emits, in bfloat16::

        y = relu(conv2d(x, W) + b)
            =>  y = astype(relu(conv2d(x, astype(W)) + b), "bfloat16")    # sums and b in float32
        avg_pool2d(y)  =>  avg_pool2d(astype(y, "float32"))

    The image is rounded before its first convolution. Max pools, slices and repeated rows stay
    between. Others, the classes' convolution for one, compute in float32. Precondition: the form
    that `reduce_graph` leaves, contexts normalised by constants; weights that bfloat16 does not
    hold, and another reader of `y`, raise `ValueError`.
    """

    def transform_function(
        self, function: relax.Function, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> relax.Function:
        """The function in bfloat16."""
        graph = Dataflow(function)
        relus = {
            var: relu
            for var, value in graph.values.items()
            if is_call(value, "nn.conv2d") and (relu := _relu(graph, var)) is not None
        }
        rounded = set(relus.values())

        def rewrite(var: relax.Var, value: relax.Expr, new: New) -> relax.Expr | None:
            if var in relus:
                return _conv2d(value, new(value.args[0]))
            if var in rounded:
                return relax.op.astype(relax.op.nn.relu(new(value.args[0])), BFLOAT16)
            if not (isinstance(value, relax.Call) and _is_bfloat16(new(value.args[0]))):
                return None
            if is_call(value, "nn.avg_pool2d"):
                widened = relax.op.astype(new(value.args[0]), "float32")
                return relax.Call(value.op, [widened], value.attrs)
            if any(is_call(value, name) for name in ("nn.max_pool2d", "strided_slice", "repeat")):
                return None
            raise ValueError(f"{value} reads bfloat16")

        return graph.rebuild(rewrite)


def _relu(graph: Dataflow, convolution: relax.Var) -> relax.Var | None:
    """The ReLU after the bias of `convolution`."""
    bias = graph.single_user(convolution)
    relu = None if bias is None else graph.single_user(bias)
    return relu if is_call(graph.values.get(relu), "nn.relu") else None


def _conv2d(call: relax.Call, data: relax.Expr) -> relax.Expr:
    attrs, values = call.attrs, float64(call.args[1])
    weight = relax.const(values.astype(np.float32), BFLOAT16)
    if (float64(weight) != values).any():
        raise ValueError("weights are not bfloat16")
    return relax.op.nn.conv2d(
        data if _is_bfloat16(data) else relax.op.astype(data, BFLOAT16),
        weight,
        strides=attrs.strides,
        padding=attrs.padding,
        dilation=attrs.dilation,
        groups=attrs.groups,
        out_dtype="float32",
    )


def _is_bfloat16(expression: relax.Expr) -> bool:
    return str(getattr(expression.ty, "dtype", "")) == BFLOAT16
