"""The losses of a network that learns from labels and from another network, its teacher.

CTC on labels (Graves et al., "Connectionist Temporal Classification", ICML 2006), and the
Kullback-Leibler divergence to the teacher's classes at each position (Hinton et al., "Distilling
the Knowledge in a Neural Network", arXiv:1503.02531, at temperature 1). On plates with a label the
divergence counts only where the teacher is right: the public checkpoint knows mostly one province,
and a student that followed it everywhere would forget the others.

Logits are `(N, C, T)` float32: classes, positions. Labels are `targets (sum of lengths,)` int64 and
`lengths (N,)` int64.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lprnet.distillation.alignment import best_alignment

MAX_WRONG = 3
"""A teacher that disagrees with the label at more positions than this has not read the plate, and
where it agrees it does so by chance."""


def ctc_loss(logits: Tensor, targets: Tensor, lengths: Tensor, blank: int) -> Tensor:
    """The mean over the plates of each plate's CTC loss per character."""
    positions = torch.full((len(lengths),), logits.shape[2])
    rows = logits.permute(2, 0, 1).log_softmax(2)
    targets = targets.to(logits.device)
    return F.ctc_loss(rows, targets, positions, lengths, blank, zero_infinity=True)


def divergence(student: Tensor, teacher: Tensor, where: Tensor | None = None) -> Tensor:
    """The mean of the divergence of `student` from `teacher` (both logits), over the positions
    `where` `(N, T)` bool, or over all. 0 where there are none.
    """
    each = F.kl_div(
        student.log_softmax(1), teacher.log_softmax(1), log_target=True, reduction="none"
    ).sum(1)
    if where is None:
        return each.mean()
    return (each * where).sum() / where.sum().clamp(min=1)


def agreement(logits: Tensor, targets: Tensor, lengths: Tensor, blank: int) -> Tensor:
    """Where a teacher's `logits` agree with the labels, `(N, T)` bool.

    At each position its most probable class is compared with the label's most probable alignment.
    A position beside a disagreement counts as one: the blank between two characters means little
    where one of them is wrong. A plate with more than `MAX_WRONG` disagreements counts nowhere,
    and so does one whose label does not fit.
    """
    aligned, fits = best_alignment(logits, targets, lengths, blank)
    wrong = logits.argmax(1) != aligned
    near = F.max_pool1d(wrong.float()[:, None], 3, stride=1, padding=1)[:, 0] > 0
    read = fits & (wrong.sum(1) <= MAX_WRONG)
    return ~near & read[:, None]
