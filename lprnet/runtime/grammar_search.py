"""The most probable texts that a grammar allows, exactly.

The probability of a text is that of all its CTC paths together (Graves et al., "Connectionist
Temporal Classification", ICML 2006, section 3.1), so the best text need not lie on the best path.
It is found by best-first search over prefixes (the prefix search of section 3.2), with a bound that
knows the grammar: no allowed text that begins with the prefix is more probable. One pass over
lattice and automaton from behind gives what every prefix needs for that. A prefix is expanded only
while its bound is above the best whole text found, so nothing is cut off.
"""

import heapq
import operator
from functools import cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from lprnet.runtime.arrays import NDArray
from lprnet.runtime.ctc import Floats
from lprnet.runtime.grammar import Automaton
from lprnet.runtime.texts import Indices, Labels, Texts

MAX_OPENED, OPENED_A_TEXT = 2000, 10
"""Prefixes that one search may open, 30 milliseconds, and as many more for each text asked for. A
plate takes 7 or 8, blurred ones up to a hundred, noise up to a thousand.
"""


class Moves(NamedTuple):
    """The moves of an automaton of Q states over C classes and the blank as a table. State Q, which
    nothing leaves, is behind every class that may not be read.
    """

    targets: Indices
    """`(Q + 1, C + 1)`: the state behind each class; the blank, the last one, changes nothing."""
    accepting: Floats
    """`(Q + 1,)`: 1 where a text may end."""
    read: Floats
    """`(C,)`: 1 for each class that some text has."""


@cache
def moves_of(automaton: Automaton, classes: int) -> Moves:
    """The moves of `automaton` over so many classes."""
    nowhere = len(automaton.moves)
    targets = np.full((nowhere + 1, classes + 1), nowhere)
    for state, moves in enumerate(automaton.moves):
        targets[state, list(moves)] = list(moves.values())
    read = (targets[:, :-1] != nowhere).any(axis=0).astype(np.float64)
    targets[:, -1] = np.arange(nowhere + 1)
    return Moves(targets, np.array([*automaton.accepting, False], np.float64), read)


def accepted(texts: Texts, automaton: Automaton, blank: int) -> NDArray[np.bool_]:
    """`(N,)`: which texts the automaton accepts."""
    moves = moves_of(automaton, blank)
    state = np.zeros(len(texts.lengths), np.intp)
    for labels in texts.table(blank):
        state = moves.targets[state, labels]
    return moves.accepting[state] > 0


class Suffixes(NamedTuple):
    """How probable at most the rest of a text is, for N images, T positions, the states of `Moves`,
    and K classes that may be read.
    """

    continued: Floats
    """`(N, T, states, K)`: of any text, the paths from position t on that read the class there and
    spell the text's rest: no more than this together."""
    best: Floats
    """`(N,)`: no allowed text has a larger probability."""


def suffixes(p: Floats, automaton: Automaton, classes: Indices | None = None) -> Suffixes:
    """The backward pass over `p` `(N, C, T)`, the blank last, and `automaton`; of texts that have
    no other classes than those of `classes` `(N, K)`, for None all.

    At each position a text goes on with one of the moves; the most probable one there bounds it. A
    sum over all moves would be the probability of all texts together, far more than that of one
    where many are alike.
    """
    images, symbols, positions = p.shape
    moves = moves_of(automaton, symbols - 1)
    if classes is None:
        classes = np.broadcast_to(np.arange(symbols - 1), (images, symbols - 1))
    states, width = len(moves.targets), classes.shape[1]
    # What follows a position depends on the state and the last symbol: blank, or the label of the
    # move that led there.
    row = np.arange(images * states)
    behind = row.reshape(images, states)[:, :1, None] + moves.targets.T[classes].transpose(0, 2, 1)
    behind_blank = np.tile(moves.accepting, images)
    behind_label = behind_blank.take(behind)
    behind *= width
    behind += np.arange(width)
    emitted = np.take_along_axis(p, classes[:, :, None], axis=1).transpose(2, 0, 1)[:, :, None]
    blank = np.repeat(p[:, -1].T, states, axis=1)
    row *= width
    continued = np.empty((positions, images, states, width))
    # Of a state's moves, for each one the best of the others, or a blank.
    others, left = np.empty((2, images * states, width))
    for position in reversed(range(positions)):
        step = np.multiply(behind_label, emitted[position], out=continued[position])
        left[:] = step.reshape(left.shape)
        first = left.argmax(axis=1)  # far faster than max
        first += row
        best = left.take(first)
        left.ravel()[first] = 0
        second = left.argmax(axis=1)
        second += row
        behind_blank *= blank[position]
        others[:] = (best + behind_blank)[:, None]
        others.ravel()[first] = left.take(second) + behind_blank
        behind_blank += best
        # The same label again is no move but the same character. No index is out of bounds, but
        # "raise" would take the values twice.
        others.take(behind, out=behind_label, mode="clip")
        behind_label += step
    return Suffixes(continued.transpose(1, 0, 2, 3), behind_blank[::states])


class _Prefix(NamedTuple):
    """Labels, their paths over the first t positions, 0 <= t <= T, and what may follow them."""

    labels: Labels
    state: int
    in_blank: list[float]
    """Probability of the paths that end in a blank (or are empty)."""
    in_label: list[float]
    """Probability of those that end in the last label."""
    bounds: list[float]
    """For each class, no allowed text that goes on with it is more probable."""
    unopened: list[int]
    """Which of these have not been searched, the best one last."""


def best_allowed(
    p: Floats, continued: Floats, automaton: Automaton, top: int
) -> list[tuple[Labels, float]]:
    """The `top` most probable allowed texts of one image, best first, with their probabilities.

    `p` is `(C, T)`, the blank last, `continued` the image's part of `Suffixes` of all classes.
    There are fewer where fewer have a probability above 0, and where the next one would take more
    than `MAX_OPENED` prefixes, and `OPENED_A_TEXT` for each text: on an image on which no text
    stands out, nearly all of the millions have to be compared.
    """
    targets = moves_of(automaton, len(p) - 1).targets
    may_open = MAX_OPENED + OPENED_A_TEXT * top
    blanks: list[float] = p[-1].tolist()
    # Negative probabilities, since heapq pops the smallest. A prefix waits with the bound of its
    # best unopened move; the labels make the order total.
    queue: list[tuple[float, Labels, _Prefix]] = []
    found: list[tuple[float, Labels]] = []

    def wait(prefix: _Prefix) -> None:
        if prefix.unopened and prefix.bounds[prefix.unopened[-1]] > 0:
            bound = prefix.bounds[prefix.unopened[-1]]
            heapq.heappush(queue, (-bound, prefix.labels, prefix))

    def open_prefix(
        labels: Labels, state: int, in_blank: list[float], in_label: list[float]
    ) -> None:
        probability = in_blank[-1] + in_label[-1]
        if automaton.accepting[state] and probability > 0:
            heapq.heappush(found, (-probability, labels))
        ends = np.array((in_blank[:-1], in_label[:-1])) @ continued[:, state]
        bounds = ends[0] + ends[1]
        if labels:
            bounds[labels[-1]] = ends[0, labels[-1]]  # a repeat needs a blank between
        ranked = bounds.argsort().tolist()
        wait(_Prefix(labels, state, in_blank, in_label, bounds.tolist(), ranked))

    open_prefix((), 0, [1.0, *accumulate(blanks, operator.mul)], [0.0] * (len(blanks) + 1))
    best: list[tuple[Labels, float]] = []
    while len(best) < top and (queue or found):
        if found and (not queue or found[0][0] <= queue[0][0]):
            probability, labels = heapq.heappop(found)
            best.append((labels, -probability))
            continue
        if not may_open:
            break
        may_open -= 1
        _, _, parent = heapq.heappop(queue)
        label = parent.unopened.pop()
        wait(parent)
        grown = _extended(parent, label, p[label].tolist(), blanks)
        open_prefix((*parent.labels, label), int(targets[parent.state, label]), *grown)
    return best


def _extended(
    parent: _Prefix, label: int, emitted: list[float], blanks: list[float]
) -> tuple[list[float], list[float]]:
    """`in_blank` and `in_label` of `parent` and one more `label`: the forward recursion of section
    4.1 over its two states.
    """
    entering = parent.in_blank
    if not parent.labels or parent.labels[-1] != label:
        entering = list(map(operator.add, entering, parent.in_label))
    before, behind = 0.0, 0.0
    in_blank, in_label = [0.0], [0.0]
    for enters, of_label, of_blank in zip(entering, emitted, blanks, strict=False):
        behind = of_blank * (behind + before)
        before = of_label * (before + enters)
        in_blank.append(behind)
        in_label.append(before)
    return in_blank, in_label
