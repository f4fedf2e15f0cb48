"""Which texts a plate can have: a regular expression, compiled to an automaton.

Each derivative of the expression (`regular_expression.py`) is a state of the automaton (Brzozowski,
"Derivatives of Regular Expressions", JACM 1964).
"""

from collections.abc import Iterable
from functools import cache, reduce

from lprnet.runtime.regular_expression import NONE, derivative, parse, symbol_sets

MAX_STATES = 1000
"""A grammar of plates has tens; more is a mistake that would make decoding slow."""
MAX_WORK = 100_000
"""Symbol sets in all states together: seconds of compilation."""
MAX_STEPS = 4_000_000
"""Symbol sets of all states times the characters of all symbols that are followed from there, and
those of the grammar times the characters of the alphabet: a second."""


class Automaton:
    """A deterministic automaton over classes; state 0 is the first."""

    def __init__(self, moves: tuple[dict[int, int], ...], accepting: tuple[bool, ...]) -> None:
        """For each state: class to the state behind it, and whether a text may end in it."""
        self.moves, self.accepting = moves, accepting

    def accepts(self, labels: Iterable[int]) -> bool:
        """Whether the text of these classes is one."""
        state, moves = 0, self.moves
        for label in labels:
            if label not in moves[state]:
                return False
            state = moves[state][label]
        return self.accepting[state]


@cache
def compile_grammar(pattern: str, characters: tuple[str, ...]) -> Automaton:
    """The automaton of all texts of `characters` that match `pattern`; class i is character i.

    Raises `ValueError`, a sentence that names the place, for what is no expression of the subset,
    for one that no text of the characters matches, or the empty one alone, and for one of over
    `MAX_STATES` states, `MAX_WORK` sets in them or `MAX_STEPS` steps.
    """
    whole = parse(pattern)
    # Characters that stand in the same sets lead to the same states.
    sets = list(dict.fromkeys(symbol_sets(whole)))
    steps = len(sets) * sum(map(len, characters))
    _check_steps(steps, pattern)
    kinds = [
        tuple(tuple(point in one for one in sets) for point in character)
        for character in characters
    ]
    examples = dict(zip(kinds, characters, strict=True))
    followed = sum(map(len, examples.values()))
    states = {whole: 0}
    pending, work = [whole], 0
    moves: list[dict[int, int]] = []
    while pending:
        state = pending.pop(0)
        steps += state.size * followed
        _check_steps(steps, pattern)
        behind = {kind: reduce(derivative, example, state) for kind, example in examples.items()}
        moves.append({})
        for label, kind in enumerate(kinds):
            following = behind[kind]
            if following == NONE:
                continue
            if following not in states:
                states[following] = len(states)
                pending.append(following)
                work += following.size
            moves[-1][label] = states[following]
        if len(states) > MAX_STATES or work > MAX_WORK:
            raise ValueError(
                f"the grammar {pattern!r} has over {MAX_STATES} states, or too large ones"
            )
    accepting = tuple(state.nullable for state in states)
    if not any(accepting[following] for behind in moves for following in behind.values()):
        raise ValueError(f"no text of the alphabet matches the grammar {pattern!r}")
    return Automaton(tuple(moves), accepting)


def _check_steps(steps: int, pattern: str) -> None:
    if steps > MAX_STEPS:
        raise ValueError(
            f"the grammar {pattern!r} has too many sets for so many and so long symbols"
        )
