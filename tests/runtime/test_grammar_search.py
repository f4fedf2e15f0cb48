"""The best texts under a grammar against all paths, enumerated."""

import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lprnet.runtime.alphabet import CHINA
from lprnet.runtime.ctc import Floats, Labels, label_probability, prefix_beam_search
from lprnet.runtime.grammar import Automaton, compile_grammar
from lprnet.runtime.grammar_search import best_allowed, suffixes
from lprnet.runtime.plate_grammar import GRAMMAR

GRAMMARS = ("ab?c", "a*b", "[ab]{2}", "(?:ab|c)+", "aa|bb|c", "[abcd]{1,3}", "a(?:bb?a|d)*", "")
CHARACTERS = ("a", "b", "c", "d")


@cache
def paths(classes: int, positions: int) -> tuple[NDArray[np.intp], NDArray[np.intp], list[Labels]]:
    """All paths `(P, T)`, which text each spells `(P,)`, and the texts."""
    blank = classes - 1
    every = list(itertools.product(range(classes), repeat=positions))
    texts = [
        tuple(c for i, c in enumerate(path) if c != blank and (i == 0 or path[i - 1] != c))
        for path in every
    ]
    index = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return np.array(every), np.array([index[text] for text in texts]), list(index)


def enumerated(p: Floats, automaton: Automaton) -> list[tuple[float, Labels]]:
    """Every allowed text of `p` `(C, T)` with its probability, best first."""
    classes, positions = p.shape
    every, numbers, texts = paths(classes, positions)
    probability = np.bincount(numbers, np.prod(p[every, np.arange(positions)], axis=1))
    allowed = [(float(probability[n]), text) for n, text in enumerate(texts)]
    return sorted((x for x in allowed if automaton.accepts(x[1]) and x[0] > 0), reverse=True)


def check(p: Floats, pattern: str, top: int) -> None:
    automaton = compile_grammar(pattern, CHARACTERS[: len(p) - 1])
    expected = enumerated(p, automaton)
    behind = suffixes(p[None], automaton)
    found = best_allowed(p, behind.continued[0], automaton, top)
    assert behind.total[0] == pytest.approx(sum(x for x, _ in expected), abs=1e-12)
    assert [x for _, x in found] == pytest.approx([x for x, _ in expected[:top]], abs=1e-14)
    for labels, _ in found:
        assert automaton.accepts(labels)


@given(st.integers(0, 2**32 - 1), st.sampled_from(GRAMMARS[:6]))
def test_random_lattices(seed: int, pattern: str) -> None:
    rng = np.random.default_rng(seed)
    classes, positions = int(rng.integers(4, 6)), int(rng.integers(1, 7))
    flat = rng.choice([0.05, 0.3, 3.0])
    check(
        rng.dirichlet([flat] * classes, size=positions).T.copy(), pattern, int(rng.integers(1, 5))
    )


@pytest.mark.parametrize("pattern", [*GRAMMARS[6:], "aa"])
def test_repeats_and_the_empty_text(pattern: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        check(rng.dirichlet([0.3] * 5, size=5).T.copy(), pattern, 3)


def test_zeros_and_ones() -> None:
    """One path alone is possible; what it spells is not allowed, so nothing is found."""
    p = np.zeros((5, 3))
    p[0, 0] = p[4, 1] = p[0, 2] = 1
    check(p, "aa", 2)
    check(p, "a", 2)


def test_more_than_a_wide_beam_finds() -> None:
    """On lattices of LPRNet's size nothing that a beam of 64 finds is more probable."""
    automaton = compile_grammar(GRAMMAR, CHINA.characters)
    rng = np.random.default_rng(0)
    for _ in range(10):
        p = rng.dirichlet([0.02] * CHINA.classes, size=18).T.copy()
        p[-1] += 0.3
        p /= p.sum(axis=0)
        behind = suffixes(p[None], automaton)
        (labels, probability), *_ = best_allowed(p, behind.continued[0], automaton, 1)
        assert probability == pytest.approx(label_probability(p[None], [labels])[0], rel=1e-9)
        beam = [found for found in prefix_beam_search(p, 64) if automaton.accepts(found)]
        others = label_probability(np.repeat(p[None], len(beam), axis=0), beam)
        assert not len(beam) or probability >= others.max() * (1 - 1e-9)
