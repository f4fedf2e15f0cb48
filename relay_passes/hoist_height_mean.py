"""`HoistHeightMean`: the mean over height moves before the container convolution."""

import tvm
from tvm import relax

from relay_passes.dataflow import Dataflow, New, is_call, shape


@relax.transform.function_pass(opt_level=0, name="HoistHeightMean")
class HoistHeightMean:
    """A mean over height commutes with operators that work on each position separately::

        mean(conv2d_1x1(concat(a, b / m)) + bias, axis=2)
            =>  squeeze(conv2d_1x1(concat(pool(a), pool(b) / m)) + bias, axis=2)
        pool(x) = avg_pool2d(x, (H, 1)), the mean over height with its axis kept

    Precondition: a 1x1 convolution of stride 1 without padding, whose single user is the bias,
    whose single user is the mean; `m` is one value per image. Any other mean is left alone.
    """

    def transform_function(
        self, function: relax.Function, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> relax.Function:
        """The function with its height means hoisted."""
        graph = Dataflow(function)

        def pool(expression: relax.Expr, new: New) -> relax.Expr:
            concat = graph.match(expression, "concat")
            if concat is not None and concat.attrs.axis == 1:
                return relax.op.concat([pool(field, new) for field in concat.args[0].fields], 1)
            divide = graph.match(expression, "divide")
            if divide is not None and all(n == 1 for n in shape(divide.args[1])[1:]):
                return relax.op.divide(pool(divide.args[0], new), new(divide.args[1]))
            window = (shape(expression)[2], 1)
            return relax.op.nn.avg_pool2d(new(expression), window, window, count_include_pad=True)

        def rewrite(_var: relax.Var, value: relax.Expr, new: New) -> relax.Expr | None:
            if not is_call(value, "mean") or [int(a) for a in value.attrs.axis] != [2]:
                return None
            add = graph.match(value.args[0], "add")
            if add is None or graph.single_user(value.args[0]) is None:
                return None
            conv = graph.match(add.args[0], "nn.conv2d")
            if conv is None or graph.single_user(add.args[0]) is None or not _is_pointwise(conv):
                return None
            moved = relax.Call(conv.op, [pool(conv.args[0], new), conv.args[1]], conv.attrs)
            biased = relax.op.add(moved, new(add.args[1]))
            return biased if value.attrs.keepdims else relax.op.squeeze(biased, axis=[2])

        return graph.rebuild(rewrite)


def _is_pointwise(conv: relax.Call) -> bool:
    return (
        shape(conv.args[1])[2:] == (1, 1)
        and not any(conv.attrs.padding)
        and all(int(stride) == 1 for stride in conv.attrs.strides)
    )
