"""The passes in the one order that builds, tests and tunes use."""

import tvm

from relay_passes.canonicalize_export import CanonicalizeExport
from relay_passes.drop_dead_channels import DropDeadChannels
from relay_passes.flush_subnormals import FlushSubnormals
from relay_passes.fold_batch_norm import FoldBatchNorm
from relay_passes.fold_context_norm import FoldContextNorm
from relay_passes.hoist_height_mean import HoistHeightMean
from relay_passes.merge_average_pools import MergeAveragePools
from relay_passes.order_sliced_channels import OrderSlicedChannels


def reduce_graph(module: tvm.IRModule) -> tvm.IRModule:
    """`lprnet.export.to_relax`'s NCHW module with everything removed that no output needs.

    What is left of `main(x: (N, 3, 24, 94)) -> (N, 68, 18)` float32 is made of `nn.conv2d`, `add`
    of a `(1, C, 1, 1)` constant, `nn.relu`, `nn.max_pool2d`, `nn.avg_pool2d` (the mean over height
    included), one `concat`, one `squeeze`, and before a max pool that reads only some channels a
    `strided_slice` of the first k. Without calibrated context constants also `square`, `mean`,
    `multiply` and `divide`.
    """
    reduce = tvm.transform.Sequential(
        [
            # What torch's decomposition leaves
            CanonicalizeExport(),
            # Linear operators into convolutions
            FoldBatchNorm(),
            FoldContextNorm(),
            HoistHeightMean(),
            MergeAveragePools(),
            # Less work in each convolution
            DropDeadChannels(),
            OrderSlicedChannels(),
            FlushSubnormals(),
        ],
        name="reduce_graph",
    )
    return reduce(module)
