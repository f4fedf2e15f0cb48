"""The most probable texts that a grammar allows, of many images at once.

On nearly every plate the search of `grammar_search.py` goes straight to the text: from each prefix
to the one with the largest bound, and never back. So all images take these steps together first,
over the classes that may matter. The text found is the most probable one if no bound that was
passed by is larger. Images where one is are searched one by one, over all classes.
"""

import numpy as np

from lprnet.runtime.ctc import Floats
from lprnet.runtime.grammar import Automaton
from lprnet.runtime.grammar_search import Suffixes, best_allowed, moves_of, suffixes
from lprnet.runtime.text_columns import Scored
from lprnet.runtime.texts import Indices

LIKELY = 16
"""Classes an image that the common steps look at. Of the photographs that are searched, half have
more than 10 classes of a summed probability above 1 %, a tenth more than 17."""


def allowed_texts(p: Floats, automaton: Automaton, top: int, least: Floats) -> list[Scored]:
    """For each image of `p` `(N, C, T)`, the blank last, the `top` most probable allowed texts with
    their probabilities, as `best_allowed` finds them; or none if none can be as probable as its
    `least` `(N,)`.
    """
    found: list[Scored] = [[] for _ in p]
    remaining = np.arange(len(p))
    if top == 1 and len(p):
        classes, others = _likely_classes(p, automaton)
        behind = suffixes(p, automaton, classes)
        found, bound = _straight(p, automaton, classes, behind)
        best = np.array([text[0][1] if text else 0.0 for text in found])
        possible = np.maximum(behind.best, others) >= least
        remaining = np.flatnonzero((best < np.maximum(bound, others)) & possible)
    behind = suffixes(p[remaining], automaton)
    for row, image in enumerate(remaining.tolist()):
        possible = behind.best[row] >= least[image]
        found[image] = (
            best_allowed(p[image], behind.continued[row], automaton, top) if possible else []
        )
    return found


def _likely_classes(p: Floats, automaton: Automaton) -> tuple[Indices, Floats]:
    """`(N, K)`: the classes that each image has most of; `(N,)`: no text with another class has a
    larger probability, for a text with a class has it at one of the positions.
    """
    read = moves_of(automaton, p.shape[1] - 1).read
    sums = p[:, :-1].sum(axis=2) * read
    first = len(read) - LIKELY
    if first <= 0:
        return np.broadcast_to(np.arange(len(read)), sums.shape), np.zeros(len(p))
    order = sums.argpartition(first - 1, axis=1)
    return order[:, first:], sums[np.arange(len(p)), order[:, first - 1]]


def _straight(
    p: Floats, automaton: Automaton, classes: Indices, behind: Suffixes
) -> tuple[list[Scored], Floats]:
    """From the empty prefix always on to the prefix of the largest bound: for each image the most
    probable text on the way, none if all have the probability 0, and `(N,)` the largest bound of
    what was passed by.
    """
    images, _, positions = p.shape
    moves, every = moves_of(automaton, p.shape[1] - 1), np.arange(images)
    blank = p[:, -1].T
    # Of the paths over the first t positions: those that end in a blank, and in the last label.
    in_blank, in_label = np.ones((positions + 1, images)), np.zeros((positions + 1, images))
    np.multiply.accumulate(blank, axis=0, out=in_blank[1:])
    state, best, passed = np.zeros(images, np.intp), np.zeros(images), np.zeros(images)
    lengths = np.zeros(images, np.intp)
    read: list[Indices] = []
    last = None
    while True:
        probability = (in_blank[-1] + in_label[-1]) * moves.accepting[state]
        lengths[probability > best] = len(read)
        np.maximum(best, probability, out=best)
        following = behind.continued[every, :, state]
        ends = np.stack([in_blank[:-1].T, in_label[:-1].T], axis=1) @ following
        bounds = ends[:, 0] + ends[:, 1]
        if last is not None:
            bounds[every, last] = ends[every, 0, last]  # a repeat needs a blank between
        column = bounds.argmax(axis=1)
        if not (bounds[every, column] > best).any():
            break
        bounds[every, column] = 0
        np.maximum(passed, bounds[every, bounds.argmax(axis=1)], out=passed)
        label = classes[every, column]
        entering = in_blank[:-1] + (
            in_label[:-1] if last is None else in_label[:-1] * (column != last)
        )
        in_blank, in_label = _grown(entering, p[every, label].T, blank)
        state, last = moves.targets[state, label], column
        read.append(label)
    table = np.array(read, np.intp).reshape(len(read), images).T.tolist()
    return [
        [(tuple(labels[:length]), probability)] if probability > 0 else []
        for labels, length, probability in zip(table, lengths.tolist(), best.tolist(), strict=True)
    ], passed


def _grown(entering: Floats, emitted: Floats, blank: Floats) -> tuple[Floats, Floats]:
    """`in_blank` and `in_label` `(T + 1, N)` of prefixes with one more label, which is `emitted`
    `(T, N)` and entered at each position from the paths `entering` `(T, N)`: the forward recursion
    of section 4.1 over its two states.
    """
    positions, images = entering.shape
    # In each row `entering`, `in_label` and `in_blank`: both sums are one addition.
    rows = np.zeros((positions + 1, 3, images))
    rows[:-1, 0] = entering
    factors = np.stack([emitted, blank], axis=1)
    for left, right, following, factor in zip(
        rows[:, :2], rows[:, 1:], rows[1:, 1:], factors, strict=False
    ):
        np.add(left, right, out=following)
        following *= factor
    return rows[:, 2], rows[:, 1]
