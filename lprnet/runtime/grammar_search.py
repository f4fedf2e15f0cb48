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
from numpy.typing import NDArray

from lprnet.runtime.ctc import Floats, Labels
from lprnet.runtime.grammar import Automaton

Indices = NDArray[np.intp]

MAX_OPENED, OPENED_A_TEXT = 2000, 10
"""Prefixes that one search may open, 30 milliseconds, and as many more for each text asked for. A
plate takes 7 or 8, blurred ones up to a hundred, noise up to a thousand.
"""


class _Moves(NamedTuple):
    """The moves of an automaton of Q states as a table: W columns for each state, as many as the
    most moves that one has, and one state more, which nothing leaves or ends in. Moves that a state
    lacks lead there.
    """

    columns: tuple[dict[int, int], ...]
    """For each state, class to the column of the move that reads it."""
    labels: Indices
    """`(Q + 1, W)`: the class that each move reads."""
    targets: Indices
    """`(Q + 1, W)`: the state that it leads to."""
    others: Indices
    """`(Q + 1, W)`: where `suffixes` has the best of the target's moves that read another class."""


@cache
def _moves(automaton: Automaton) -> _Moves:
    columns = tuple(
        {label: column for column, label in enumerate(moves)} for moves in automaton.moves
    )
    nowhere, width = len(columns), max(map(len, columns))
    labels = np.zeros((nowhere + 1, width), np.intp)
    targets = np.full(labels.shape, nowhere)
    again = np.full(labels.shape, width)
    for state, moves in enumerate(automaton.moves):
        for column, (label, target) in enumerate(moves.items()):
            labels[state, column], targets[state, column] = label, target
            again[state, column] = columns[target].get(label, width)
    return _Moves(columns, labels, targets, targets * (width + 1) + again)


class Suffixes(NamedTuple):
    """How probable at most the rest of a text is, for N images, T positions and an automaton's
    moves, a table with a row for each state.
    """

    continued: Floats
    """`(N, T, rows, columns)`: of any text, the paths from position t on that take the move there
    and spell the text's rest: no more than this together."""
    best: Floats
    """`(N,)`: no allowed text has a larger probability."""


def suffixes(p: Floats, automaton: Automaton) -> Suffixes:
    """The backward pass over `p` `(N, C, T)`, the blank last, and `automaton`.

    At each position a text goes on with one of the moves; the most probable one there bounds it. A
    sum over all moves would be the probability of all texts together, far more than that of one
    where many are alike.
    """
    images, _, positions = p.shape
    moves = _moves(automaton)
    states, width = moves.labels.shape
    # What follows a position depends on the state and the last symbol: blank, or the label of the
    # move that led there.
    behind_blank = np.zeros((images, states))
    behind_blank[:] = (*automaton.accepting, False)
    behind_label = behind_blank.take(moves.targets, axis=1)
    emitted = p.transpose(2, 0, 1).take(moves.labels, axis=2)
    continued = np.empty((positions, images, states, width))
    # Of a state's moves: column k the best but the k-th, the last column the best of all.
    best = np.zeros((images, states, width + 1))
    table, row = best.reshape(-1, width + 1), np.arange(images * states)
    for position in reversed(range(positions)):
        step = np.multiply(behind_label, emitted[position], out=continued[position])
        behind_blank = behind_blank * p[:, -1, position, None]
        if width:
            others = step.reshape(-1, width).copy()
            first = others.argmax(axis=1)  # far faster than max
            table[:] = others[row, first, None]
            others[row, first] = 0
            table[row, first] = others[row, others.argmax(axis=1)]
        follows = best + behind_blank[:, :, None]
        behind_blank = follows[:, :, -1]
        # The same label again is no move but the same character.
        behind_label = follows.reshape(images, -1).take(moves.others, axis=1)
        behind_label += step
    return Suffixes(continued.transpose(1, 0, 2, 3), behind_blank[:, 0])


class _Prefix(NamedTuple):
    """Labels, their paths over the first t positions, 0 <= t <= T, and what may follow them."""

    labels: Labels
    state: int
    in_blank: list[float]
    """Probability of the paths that end in a blank (or are empty)."""
    in_label: list[float]
    """Probability of those that end in the last label."""
    bounds: list[float]
    """For each move from the state, no allowed text that begins with it is more probable."""
    unopened: list[int]
    """Which of these moves have not been searched, the best one last."""


def best_allowed(
    p: Floats, continued: Floats, automaton: Automaton, top: int
) -> list[tuple[Labels, float]]:
    """The `top` most probable allowed texts of one image, best first, with their probabilities.

    `p` is `(C, T)`, the blank last, `continued` the image's part of `Suffixes`. There are fewer
    where fewer have a probability above 0, and where the next one would take more than
    `MAX_OPENED` prefixes, and `OPENED_A_TEXT` for each text: on an image on which no text stands
    out, nearly all of the millions have to be compared.
    """
    moves = _moves(automaton)
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
        columns = moves.columns[state]
        ends = np.array((in_blank[:-1], in_label[:-1])) @ continued[:, state, : len(columns)]
        bounds = ends[0] + ends[1]
        if labels and labels[-1] in columns:
            again = columns[labels[-1]]
            bounds[again] = ends[0, again]  # a repeat needs a blank between
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
        move = parent.state, parent.unopened.pop()
        wait(parent)
        label = int(moves.labels[move])
        grown = _extended(parent, label, p[label].tolist(), blanks)
        open_prefix((*parent.labels, label), int(moves.targets[move]), *grown)
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
