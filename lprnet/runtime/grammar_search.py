"""The most probable texts that a grammar allows, exactly.

The probability of a text is that of all its CTC paths together (Graves et al., "Connectionist
Temporal Classification", ICML 2006, section 3.1), so the best text need not lie on the best path.
It is found by best-first search over prefixes (the prefix search of section 3.2), with a bound that
knows the grammar: all paths of all allowed texts that begin with the prefix, together. One pass
over lattice and automaton from behind gives what every prefix needs for that. A prefix is expanded
only while its bound is above the best whole text found, so nothing is cut off.
"""

import heapq
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.ctc import Floats, Labels
from lprnet.runtime.grammar import Automaton

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class _Moves:
    """The M moves of an automaton one after another, ordered by the state that they leave."""

    first: list[int]
    """State q's moves are those from `first[q]` up to `first[q + 1]`."""
    labels: Indices
    """`(M,)`: the class that each move reads."""
    targets: Indices
    """`(M,)`: the state that it leads to."""
    again: Indices
    """`(M,)`: the move that reads the same class once more; M where there is none."""
    leaving: Indices
    """The states that have moves."""
    starts: Indices
    """The first move of each of them."""


@cache
def _moves(automaton: Automaton) -> _Moves:
    first = [0, *accumulate(len(moves) for moves in automaton.moves)]
    pairs = [move for moves in automaton.moves for move in moves.items()]
    again = [
        first[target] + list(automaton.moves[target]).index(label)
        if label in automaton.moves[target]
        else len(pairs)
        for label, target in pairs
    ]
    labels, targets = np.array(pairs, np.intp).reshape(-1, 2).T
    leaving = np.flatnonzero(np.diff(first))
    return _Moves(
        first, labels, targets, np.array(again, np.intp), leaving, np.array(first, np.intp)[leaving]
    )


@dataclass(frozen=True)
class Suffixes:
    """What may come behind a prefix, for N images, T positions and the M moves of an automaton."""

    continued: Floats
    """`(N, T, M)`: take the move at position t, then anything that ends in an allowed text. Sums of
    path probabilities."""
    total: Floats
    """`(N,)`: all paths of all allowed texts."""


def suffixes(p: Floats, automaton: Automaton) -> Suffixes:
    """The backward pass over `p` `(N, C, T)`, the blank last, and `automaton`."""
    count, _, positions = p.shape
    moves = _moves(automaton)
    # What follows a position depends on the state and the last symbol: blank, (N, Q), or the label
    # of the move that led there, (N, M). The same label again is no move but the same character; if
    # the state has a move of that label, its paths must not be counted as well.
    behind_blank = np.repeat(np.array([automaton.accepting], float), count, axis=0)
    behind_label = behind_blank[:, moves.targets]
    continued = np.zeros((count, positions, len(moves.labels) + 1))
    for position in reversed(range(positions)):
        step = continued[:, position]
        behind_label *= p[:, moves.labels, position]
        step[:, :-1] = behind_label
        behind_blank *= p[:, -1, position, None]
        behind_blank[:, moves.leaving] += np.add.reduceat(step, moves.starts, axis=1)
        behind_label += behind_blank[:, moves.targets]
        behind_label -= step[:, moves.again]
    return Suffixes(continued[:, :, :-1], behind_blank[:, 0])


@dataclass(frozen=True)
class _Prefix:
    """Labels with their paths over the first t positions, 0 <= t <= T."""

    labels: Labels
    state: int
    in_blank: list[float]
    """Probability of those that end in a blank (or are empty)."""
    in_label: list[float]
    """Probability of those that end in the last label."""


def best_allowed(
    p: Floats, continued: Floats, automaton: Automaton, top: int
) -> list[tuple[Labels, float]]:
    """The `top` most probable allowed texts of one image, best first, with their probabilities.

    `p` is `(C, T)`, the blank last, `continued` the image's part of `Suffixes`. There are fewer
    where fewer have a probability above 0.
    """
    rows = p.tolist()
    empty = [1.0]
    for emitted in rows[-1]:
        empty.append(empty[-1] * emitted)
    # Negative probabilities, since heapq pops the smallest. A prefix waits with its best unopened
    # move; the labels make the order total.
    queue: list[tuple[float, Labels, _Prefix, list[tuple[float, int]]]] = []
    found: list[tuple[float, Labels]] = []

    def wait(prefix: _Prefix, moves: list[tuple[float, int]]) -> None:
        if moves and moves[-1][0] > 0:
            heapq.heappush(queue, (-moves[-1][0], prefix.labels, prefix, moves))

    def open_prefix(prefix: _Prefix) -> None:
        if automaton.accepting[prefix.state]:
            probability = prefix.in_blank[-1] + prefix.in_label[-1]
            if probability > 0:
                heapq.heappush(found, (-probability, prefix.labels))
        wait(prefix, sorted(_bounds(prefix, continued, automaton)))

    open_prefix(_Prefix((), 0, empty, [0.0] * len(empty)))
    best: list[tuple[Labels, float]] = []
    while len(best) < top and (queue or found):
        if found and (not queue or found[0][0] <= queue[0][0]):
            probability, labels = heapq.heappop(found)
            best.append((labels, -probability))
            continue
        _, _, parent, moves = heapq.heappop(queue)
        _, label = moves.pop()
        wait(parent, moves)
        open_prefix(_extended(parent, label, rows[label], rows[-1], automaton))
    return best


def _bounds(prefix: _Prefix, continued: Floats, automaton: Automaton) -> list[tuple[float, int]]:
    """For each move from the state of `prefix` all paths of all allowed texts that begin with
    `prefix` and its label, and that label.
    """
    begin, end = _moves(automaton).first[prefix.state : prefix.state + 2]
    here, labels = continued[:, begin:end], list(automaton.moves[prefix.state])
    in_blank, in_label = np.array(prefix.in_blank[:-1]), np.array(prefix.in_label[:-1])
    bounds = ((in_blank + in_label) @ here).tolist()
    if prefix.labels and prefix.labels[-1] in labels:
        last = labels.index(prefix.labels[-1])
        bounds[last] = float(in_blank @ here[:, last])  # a repeat needs a blank between
    return list(zip(bounds, labels, strict=True))


def _extended(
    parent: _Prefix, label: int, emitted: list[float], blanks: list[float], automaton: Automaton
) -> _Prefix:
    """`parent` and one more `label`: the forward recursion of section 4.1 over its two states."""
    repeated = bool(parent.labels) and parent.labels[-1] == label
    in_blank, in_label = [0.0], [0.0]
    for position, (of_label, of_blank) in enumerate(zip(emitted, blanks, strict=True)):
        entering = parent.in_blank[position]
        if not repeated:
            entering += parent.in_label[position]
        before = in_label[-1]
        in_label.append(of_label * (before + entering))
        in_blank.append(of_blank * (in_blank[-1] + before))
    state = automaton.moves[parent.state][label]
    return _Prefix((*parent.labels, label), state, in_blank, in_label)
