"""`FoldNormalise`: the first convolution reads pixels, not normalised values."""

import numpy as np
import tvm
from tvm import relax

from lprnet.preprocessing import OFFSET, SCALE
from relay_passes.dataflow import Dataflow, New, array, channel_constant, conv2d_like, is_call


@relax.transform.function_pass(opt_level=0, name="FoldNormalise")
class FoldNormalise:
    """With x = (p - 127.5) / 128 and p the pixels 0 to 255::

        main(x): conv2d(x, W) + b  =>  main(p): conv2d(p, W / 128) + (b - 127.5 / 128 * sum(W))

    Precondition: only unpadded convolutions with a constant bias read the image, for a padding zero
    is a grey pixel before and a black one after. A padded one raises `ValueError`.
    """

    def transform_function(
        self, function: relax.Function, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> relax.Function:
        """The function on pixels."""
        graph = Dataflow(function)
        (image,) = graph.parameters
        shifts: dict[relax.Var, np.ndarray] = {}

        def rewrite(var: relax.Var, value: relax.Expr, new: New) -> relax.Expr | None:
            if is_call(value, "nn.conv2d") and value.args[0].same_as(image):
                bias = graph.only_reader(var)
                if any(value.attrs.padding) or bias is None:
                    raise ValueError("the image is padded; its normalisation cannot be folded")
                weight = np.asarray(array(value.args[1]), "float64")
                shifts[bias] = -OFFSET * SCALE * weight.sum((1, 2, 3))
                return conv2d_like(value, new(image), weight * SCALE)
            if var in shifts:
                bias_values = np.asarray(array(value.args[1]), "float64").reshape(-1)
                return relax.op.add(new(value.args[0]), channel_constant(bias_values + shifts[var]))
            return None

        return graph.rebuild(rewrite)
