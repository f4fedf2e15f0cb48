"""The ways in which exporters write an LPRNet, brought to the one that the matcher knows.

What changes no value goes, views of more dimensions meet their inverse, 3-D pools become a
selection of channels and a 2-D pool, batch norms go into their convolutions. Each rewrite is one
function, its docstring before => after, where `x` is any tensor.
"""

from lprnet.onnx_import.fold_batch_norm import fold_batch_norm
from lprnet.onnx_import.graph import OnnxGraph
from lprnet.onnx_import.identities import (
    drop_dropout,
    drop_identity,
    drop_unit_pool,
    drop_zero_pad,
    fold_cast,
)
from lprnet.onnx_import.pools import pool_before_unsqueeze, slice_before_transpose, split_3d_pool
from lprnet.onnx_import.reduced_norm import fold_norm_factor, sink_height_mean
from lprnet.onnx_import.rewrite import apply
from lprnet.onnx_import.views import (
    cancel_transposes,
    cancel_unsqueeze,
    drop_output_transpose,
    name_reshape,
    sink_view,
    squeeze_in_mean,
)

REWRITES = (
    drop_identity,
    drop_dropout,
    drop_zero_pad,
    drop_unit_pool,
    fold_cast,
    fold_batch_norm,
    sink_view,
    pool_before_unsqueeze,
    split_3d_pool,
    slice_before_transpose,
    cancel_unsqueeze,
    cancel_transposes,
    squeeze_in_mean,
    fold_norm_factor,
    sink_height_mean,
    drop_output_transpose,
)


def normalise(onnx: OnnxGraph) -> None:
    """Rewrite the graph in place. Raises `UserError` for what was exported in training mode, and
    for a batch norm that no float32 convolution can take in.
    """
    apply(onnx, [name_reshape])  # first, while the inferred shapes are those of the graph
    apply(onnx, REWRITES)
