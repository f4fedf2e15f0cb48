"""`FoldNormalise`: the first convolution reads pixels, not normalised values."""

import tvm
from tvm import relax

from relay_passes.dataflow import (
    Dataflow,
    New,
    array,
    channel_constant,
    conv2d_like,
    float64,
    is_call,
)


@relax.transform.function_pass(opt_level=0, name="FoldNormalise")
class FoldNormalise:
    """With x = (p - offset) * scale and p the pixels 0 to 255::

        main(x): conv2d(x, W) + b
        =>
        main(p): conv2d(p, W * scale) + (b - offset * scale * sum(W))

    Precondition: only unpadded convolutions with a constant bias read the image, because a padding
    zero is a grey pixel before and a black one after. Any other user raises `ValueError`.
    """

    def __init__(self, offset: float, scale: float) -> None:
        self.offset, self.scale = offset, scale

    def transform_function(
        self, function: relax.Function, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> relax.Function:
        """The function on pixels."""
        graph = Dataflow(function)
        (image,) = graph.parameters
        convolutions = graph.users[image]
        biases = [_bias(graph, convolution) for convolution in convolutions]
        black = -self.offset * self.scale
        shift = {
            bias: black * float64(graph.values[convolution].args[1]).sum((1, 2, 3))
            for convolution, bias in zip(convolutions, biases, strict=True)
        }

        def rewrite(var: relax.Var, value: relax.Expr, new: New) -> relax.Expr | None:
            if var in convolutions:
                return conv2d_like(value, new(image), float64(value.args[1]) * self.scale)
            if var in shift:
                shifted = float64(value.args[1]).reshape(-1) + shift[var]
                return relax.op.add(new(value.args[0]), channel_constant(shifted))
            return None

        return graph.rebuild(rewrite)


def _bias(graph: Dataflow, user: relax.Var) -> relax.Var:
    """The addition of a constant bias to `user`, which must be an unpadded convolution."""
    convolution, bias = graph.values[user], graph.single_user(user)
    if (
        not is_call(convolution, "nn.conv2d")
        or any(convolution.attrs.padding)
        or bias is None
        or not is_call(graph.values[bias], "add")
        or array(graph.values[bias].args[1]) is None
    ):
        raise ValueError(
            "the image's normalisation can be folded only into unpadded convolutions with a "
            "constant bias"
        )
    return bias
