"""Half of the rows of the first block: what a network that is trained anyway does without.

The first max pool makes neighbouring rows alike, so the first block of LPRNet computes twice what
it could once. Every second row is left out from its 3x1 convolution on; the pool behind the block
reads each row that is left twice, and all further layers have the rows that they had::

    conv 3x1                  =>  conv 3x1, row stride 2                    (20 rows => 10)
    conv 1x3, conv 1x1        =>  the same, on half of the rows
    max pool                  =>  max pool of each row twice
    context, 4 rows           =>  context, 1 row: of the same pixels, the logits are means over rows

The published network at its int8 widths then has 19.9 million multiply-accumulates of 27.5. What
else was tried is in `docs/checkpoints.md`.
"""

from dataclasses import replace

from lprnet.model.architecture import Architecture, Context
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import has_published_layers

FIRST_ROWS_LEFT_OUT = "backbone.4.block.2"
"""The 3x1 convolution of the first block; its rows are read by what follows in the block."""
BLOCK_END = "backbone.4.block.6"
POOL_BEHIND = "backbone.8.block.0"


def half_rows(model: LPRNet) -> LPRNet | None:
    """`model`, whose context means are constants, with half of the rows in its first block, and the
    same weights; None where `halved` gives none.
    """
    architecture = halved(model.architecture)
    if architecture is None:
        return None
    student = LPRNet(architecture, model.context_means)
    student.load_state_dict(model.state_dict())
    return student.eval()


def halved(architecture: Architecture) -> Architecture | None:
    """`architecture` so; None for one with other layers or another size than the published one."""
    if not has_published_layers(architecture):
        return None
    backbone = []
    for conv in architecture.backbone:
        if conv.name == FIRST_ROWS_LEFT_OUT:
            conv = replace(conv, row_stride=2)
        if conv.name == POOL_BEHIND and conv.pool is not None:
            conv = replace(conv, pool=replace(conv.pool, row_repeat=2))
        backbone.append(conv)
    rows, _ = architecture.grid
    contexts = tuple(_one_row(context, rows) for context in architecture.contexts)
    return replace(architecture, backbone=tuple(backbone), contexts=contexts)


def _one_row(context: Context, rows: int) -> Context:
    """The mean of the `rows` windows of a context, which lie side by side; of every second row
    where those are left.
    """
    (height, width), (step, column_step) = context.kernel, context.stride
    height += (rows - 1) * step
    if context.of == BLOCK_END:
        height //= 2
    return replace(context, kernel=(height, width), stride=(height, column_step))
