"""CTC's most probable alignment of a known label with a network's logits, for a whole batch."""

import torch
from torch import Tensor


def best_alignment(
    logits: Tensor, targets: Tensor, lengths: Tensor, blank: int
) -> tuple[Tensor, Tensor]:
    """Of logits `(N, C, T)`, for each plate the class at each position on the most probable path
    that spells its label, `(N, T)` int64; and whether there is such a path, `(N,)` bool.

    `targets (sum of lengths,)` and `lengths (N,)` are the labels, int64. The Viterbi algorithm over
    the states blank, first character, blank, ..., last character, blank (Graves et al., ICML 2006,
    section 4.1, with maxima instead of sums). A path stays in its state, takes the next one, or
    skips the blank between two different characters.
    """
    count, _, positions = logits.shape
    emitted = logits.detach().float().log_softmax(1)
    states = _states(targets, lengths, blank).to(logits.device)
    lengths = lengths.to(logits.device)
    impossible = -torch.inf
    skips = torch.zeros_like(states, dtype=torch.bool)
    skips[:, 2:] = (states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])
    score = torch.full(states.shape, impossible, device=logits.device)
    score[:, :2] = emitted[:, :, 0].gather(1, states[:, :2])
    came_from = []
    for position in range(1, positions):
        before = torch.nn.functional.pad(score, (2, 0), value=impossible)
        skipping = before[:, :-2].masked_fill(~skips, impossible)
        score, step = torch.stack([score, before[:, 1:-1], skipping]).max(0)
        score = score + emitted[:, :, position].gather(1, states)
        came_from.append(step)
    rows = torch.arange(count, device=logits.device)
    last = 2 * lengths
    on_character = (last - 1).clamp(min=0)
    state = torch.where(score[rows, on_character] > score[rows, last], on_character, last)
    fits = score[rows, state] > impossible
    path = [states[rows, state]]
    for step in reversed(came_from):
        state = (state - step[rows, state]).clamp(min=0)
        path.append(states[rows, state])
    return torch.stack(path[::-1], dim=1), fits


def _states(targets: Tensor, lengths: Tensor, blank: int) -> Tensor:
    """The classes of each label with blanks around all characters, filled up with blanks to the
    longest label, `(N, 2 * longest + 1)`.
    """
    longest = int(lengths.max()) if len(lengths) else 0
    states = torch.full((len(lengths), 2 * max(longest, 1) + 1), blank, dtype=torch.int64)
    ends = lengths.cumsum(0).tolist()
    for row, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        states[row, 1 : 2 * (end - start) : 2] = targets[start:end]
    return states
