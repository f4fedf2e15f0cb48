"""`FoldBatchNorm`: inference batch normalisation becomes the convolution's weights and bias."""

import numpy as np
import tvm
from tvm import relax

from relay_passes.dataflow import Dataflow, New, array, channel_constant, conv2d_like


@relax.transform.function_pass(opt_level=0, name="FoldBatchNorm")
class FoldBatchNorm:
    """Ioffe and Szegedy, arXiv:1502.03167, section 3.1, with the running statistics::

        batch_norm(conv2d(x, W) + b)[0]  =>  conv2d(x, s * W) + (s * (b - mean) + beta)
        s = gamma / sqrt(variance + epsilon), per output channel, in float64

    Precondition: constants throughout and `training=False`. A batch norm whose convolution has
    other users, or which follows no convolution, is left alone.
    """

    def transform_function(
        self, function: relax.Function, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> relax.Function:
        """The function with every foldable batch norm folded."""
        graph = Dataflow(function)

        def rewrite(_var: relax.Var, value: relax.Expr, new: New) -> relax.Expr | None:
            folded = _fold(graph, value)
            if folded is None:
                return None
            conv, weight, bias = folded
            return relax.op.add(
                conv2d_like(conv, new(conv.args[0]), weight), channel_constant(bias)
            )

        return graph.rebuild(rewrite)


def _fold(graph: Dataflow, value: relax.Expr) -> tuple[relax.Call, np.ndarray, np.ndarray] | None:
    """The convolution, its new OIHW weight and its new `(O,)` bias, or None."""
    if not isinstance(value, relax.TupleGetItem) or value.index != 0:
        return None
    norm = graph.match(value.tuple_value, "nn.batch_norm")
    if norm is None or norm.attrs.training or norm.attrs.axis != 1:
        return None
    statistics = [array(argument) for argument in norm.args[1:]]
    source = norm.args[0]
    bias: np.ndarray | None = np.zeros(1)
    add = graph.match(source, "add")
    if add is not None:
        bias = array(add.args[1])
        if graph.single_user(source) is None:
            return None
        source = add.args[0]
    conv = graph.match(source, "nn.conv2d")
    if conv is None or graph.single_user(source) is None:
        return None
    weight = array(conv.args[1])
    if weight is None or bias is None or any(values is None for values in statistics):
        return None
    gamma, beta, mean, variance = (np.asarray(values, "float64") for values in statistics)
    scale = gamma / np.sqrt(variance + norm.attrs.epsilon)
    bias = scale * (bias.astype("float64").reshape(-1) - mean) + beta
    return conv, weight * scale.reshape(-1, 1, 1, 1), bias
