"""What four texts settle is what the search of all texts finds, in its very bits."""

import numpy as np

from lprnet.runtime.alphabet import CHINA
from lprnet.runtime.ctc import Floats
from lprnet.runtime.grammar import Automaton, compile_grammar
from lprnet.runtime.grammar_search import best_allowed, suffixes
from lprnet.runtime.near_texts import near_texts
from lprnet.runtime.text_columns import Scored
from tests.runtime.grammar_oracle import CHARACTERS, CHINA_PLATES, GRAMMARS


def searched(p: Floats, automaton: Automaton) -> Scored:
    return best_allowed(p, suffixes(p[None], automaton).continued[0], automaton, 1)


def test_random_lattices() -> None:
    """From nearly sure to nearly even ones, so that some are settled and some are not."""
    rng = np.random.default_rng(3)
    p = np.concatenate([rng.dirichlet([x] * 5, size=(60, 6)) for x in (0.02, 0.1, 0.5)])
    p = np.ascontiguousarray(p.transpose(0, 2, 1))
    count = 0
    for pattern in GRAMMARS:
        automaton = compile_grammar(pattern, CHARACTERS)
        settled = near_texts(p, automaton, np.zeros(len(p)))
        for one, found in zip(p, settled, strict=True):
            count += found is not None
            assert found is None or found == searched(one, automaton)
    assert 20 < count < len(GRAMMARS) * len(p)


def test_plates_with_one_character_of_two_that_are_nearly_as_likely() -> None:
    rng = np.random.default_rng(4)
    p = rng.dirichlet([0.001] * CHINA.classes, size=(50, 18)).transpose(0, 2, 1) * 1e-3
    path = [CHINA.index[symbol] for symbol in "皖-A-1-22-3-4-5----"[:18]]
    p[:, path, np.arange(18)] += 1
    eight, b = CHINA.index["8"], CHINA.index["B"]
    p[:, eight, 4] = p[:, b, 4] = 0
    p[:, path[4], 4] = 0
    share = np.linspace(0.1, 0.9, 50)
    p[:, eight, 4], p[:, b, 4] = share, 1 - share
    p /= p.sum(axis=1, keepdims=True)
    settled = near_texts(p, CHINA_PLATES, np.zeros(50))
    for one, found in zip(p, settled, strict=True):
        assert found is not None
        assert found == searched(one, CHINA_PLATES)


def test_none_where_no_allowed_text_can_have_the_least() -> None:
    """The path is sure, and of no allowed text."""
    p = np.full((2, CHINA.classes, 18), 1e-9)
    p[:, -1] = 1
    p /= p.sum(axis=1, keepdims=True)
    nothing, unknown = near_texts(p, CHINA_PLATES, np.array([1e-3, 0.0]))
    assert nothing == []
    assert unknown is None


def test_numbers_that_are_none_settle_nothing() -> None:
    p = np.full((1, CHINA.classes, 18), np.nan)
    assert near_texts(p, CHINA_PLATES, np.zeros(1)) == [None]
