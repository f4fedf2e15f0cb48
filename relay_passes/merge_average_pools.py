"""`MergeAveragePools`: an average of averages over equal, disjoint windows is one average."""

import tvm
from tvm import relax

from relay_passes.dataflow import Dataflow, New, is_call


@relax.transform.function_pass(opt_level=0, name="MergeAveragePools")
class MergeAveragePools:
    """Per axis, with window k and stride s::

        avg_pool2d(avg_pool2d(x, k1, s1), k2, s2)  =>  avg_pool2d(x, k1 * k2, s1 * s2)

    Precondition: on each axis the inner windows tile (s1 = k1) or the outer window is 1; neither
    pool pads, dilates or rounds up. An inner pool with other users is left alone: averaging its
    small output again is cheaper than averaging `x` twice.
    """

    def transform_function(
        self, function: relax.Function, _module: tvm.IRModule, _context: tvm.transform.PassContext
    ) -> relax.Function:
        """The function with its chains of average pools merged."""
        graph = Dataflow(function)

        def rewrite(_var: relax.Var, value: relax.Expr, new: New) -> relax.Expr | None:
            if not is_call(value, "nn.avg_pool2d"):
                return None
            inner = graph.match(value.args[0], "nn.avg_pool2d")
            if inner is None or graph.single_user(value.args[0]) is None:
                return None
            if not (_is_plain(inner) and _is_plain(value) and _tiles(inner, value)):
                return None
            return relax.op.nn.avg_pool2d(
                new(inner.args[0]),
                _product(inner.attrs.pool_size, value.attrs.pool_size),
                _product(inner.attrs.strides, value.attrs.strides),
                count_include_pad=True,
            )

        return graph.rebuild(rewrite)


def _is_plain(pool: relax.Call) -> bool:
    attrs = pool.attrs
    undilated = all(int(step) == 1 for step in attrs.dilation)
    return undilated and not any(attrs.padding) and not attrs.ceil_mode


def _tiles(inner: relax.Call, outer: relax.Call) -> bool:
    return all(
        int(window) == int(stride) or int(outer_window) == 1
        for window, stride, outer_window in zip(
            inner.attrs.pool_size, inner.attrs.strides, outer.attrs.pool_size, strict=True
        )
    )


def _product(first: tvm.ir.Array, second: tvm.ir.Array) -> tuple[int, int]:
    height, width = (int(a) * int(b) for a, b in zip(first, second, strict=True))
    return height, width
