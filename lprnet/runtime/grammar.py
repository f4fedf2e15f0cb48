"""Which texts a plate can have: a regular expression, compiled to an automaton.

The expression is a subset of Python's: characters, `[A-Z]`, `(...)` or `(?:...)`, `|`, `?`, `*`,
`+`, `{m}`, `{m,n}`, and a backslash before a character that would mean something else. It is
compiled by derivatives (Brzozowski, "Derivatives of Regular Expressions", JACM 1964): the
derivative of an expression by a symbol describes what may follow that symbol, and each derivative
is a state.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, reduce

MAX_STATES = 1000
"""A grammar of plates has tens; more is a mistake that would make decoding slow."""
MAX_REPEATS = 100
SPECIAL = frozenset("\\[](){}|?*+.^$")

Symbols = frozenset[str]


@dataclass(frozen=True)
class _Node:
    """An expression. `kind` is `none` (no text), `empty` (the empty text), `one` (a symbol of
    `symbols`), `then` (`parts` in order), `or` (any of `choices`), or `repeat` (`parts[0]` any
    number of times).
    """

    kind: str
    symbols: Symbols = frozenset()
    parts: tuple["_Node", ...] = ()
    choices: frozenset["_Node"] = frozenset()

    @property
    def nullable(self) -> bool:
        """Whether the empty text matches."""
        match self.kind:
            case "empty" | "repeat":
                return True
            case "then":
                return all(part.nullable for part in self.parts)
            case "or":
                return any(choice.nullable for choice in self.choices)
        return False


_NONE, _EMPTY = _Node("none"), _Node("empty")


def _then(first: _Node, second: _Node) -> _Node:
    if _NONE in (first, second):
        return _NONE
    parts = tuple(
        part
        for node in (first, second)
        for part in (node.parts if node.kind == "then" else (node,))
        if part is not _EMPTY
    )
    return parts[0] if len(parts) == 1 else _Node("then", parts=parts) if parts else _EMPTY


def _or(nodes: Iterable[_Node]) -> _Node:
    """One of `nodes`. Equal ones are one, so that there are finitely many derivatives."""
    choices = {
        choice
        for node in nodes
        for choice in (node.choices if node.kind == "or" else (node,))
        if choice != _NONE
    }
    if len(choices) == 1:
        return choices.pop()
    return _Node("or", choices=frozenset(choices)) if choices else _NONE


def _derivative(node: _Node, symbol: str) -> _Node:
    """What may follow `symbol` at the beginning of a text of `node`."""
    match node.kind:
        case "one":
            return _EMPTY if symbol in node.symbols else _NONE
        case "or":
            return _or(_derivative(choice, symbol) for choice in node.choices)
        case "repeat":
            return _then(_derivative(node.parts[0], symbol), node)
        case "then":
            first, rest = node.parts[0], reduce(_then, node.parts[1:], _EMPTY)
            begun = _then(_derivative(first, symbol), rest)
            return _or([begun, _derivative(rest, symbol)]) if first.nullable else begun
    return _NONE


def _symbol_sets(node: _Node) -> Iterator[Symbols]:
    """The sets of symbols that stand in `node`."""
    if node.kind == "one":
        yield node.symbols
    for part in (*node.parts, *node.choices):
        yield from _symbol_sets(part)


class _Parser:
    """Recursive descent over `text`; errors are `ValueError`s that name the place."""

    def __init__(self, text: str) -> None:
        self.text, self.place = text, 0

    def error(self, what: str) -> ValueError:
        return ValueError(f"{what} at character {self.place + 1} of the grammar {self.text!r}")

    def peek(self) -> str:
        return self.text[self.place : self.place + 1]

    def take(self, expected: str = "") -> str:
        found = self.peek()
        if not found or (expected and found != expected):
            raise self.error(f"{expected or 'a character'} is missing")
        self.place += 1
        return found

    def whole(self) -> _Node:
        node = self.alternatives()
        if self.peek():
            raise self.error(f"{self.peek()!r} is not understood")
        return node

    def alternatives(self) -> _Node:
        nodes = [self.sequence()]
        while self.peek() == "|":
            self.take()
            nodes.append(self.sequence())
        return _or(nodes)

    def sequence(self) -> _Node:
        node = _EMPTY
        while self.peek() and self.peek() not in "|)":
            node = _then(node, self.repeated(self.atom()))
        return node

    def atom(self) -> _Node:
        match self.take():
            case "(":
                if self.text.startswith("?:", self.place):
                    self.place += 2
                node = self.alternatives()
                self.take(")")
                return node
            case "[":
                return _Node("one", self.char_class())
            case "\\":
                return _Node("one", frozenset(self.take()))
            case character if character in SPECIAL:
                self.place -= 1
                raise self.error(f"{character!r} is not understood")
            case character:
                return _Node("one", frozenset(character))

    def char_class(self) -> Symbols:
        symbols: set[str] = set()
        if self.peek() == "^":
            raise self.error("'[^' is not understood")
        while self.peek() != "]":
            first = last = self.take()
            if first == "\\":
                first = last = self.take()
            elif self.peek() == "-" and self.text[self.place + 1 : self.place + 2] != "]":
                self.take()
                last = self.take()
            if last < first:
                raise self.error(f"the range {first}-{last} is empty")
            symbols.update(map(chr, range(ord(first), ord(last) + 1)))
        self.take("]")
        if not symbols:
            raise self.error("'[]' matches nothing")
        return frozenset(symbols)

    def repeated(self, node: _Node) -> _Node:
        match self.peek():
            case "?":
                self.take()
                return _or([node, _EMPTY])
            case "*":
                self.take()
                return _Node("repeat", parts=(node,))
            case "+":
                self.take()
                return _then(node, _Node("repeat", parts=(node,)))
            case "{":
                least, most = self.bounds()
                tail = _EMPTY
                for _ in range(most - least):
                    tail = _or([_then(node, tail), _EMPTY])
                return reduce(_then, [node] * least + [tail], _EMPTY)
        return node

    def bounds(self) -> tuple[int, int]:
        end = self.text.find("}", self.place)
        first, comma, second = self.text[self.place + 1 : end].partition(",")
        numbers = (first, second) if comma else (first,)
        if end < 0 or not all(number.isascii() and number.isdigit() for number in numbers):
            raise self.error("'{' wants {m} or {m,n}")
        least, most = int(first), int(second if comma else first)
        if not least <= most <= MAX_REPEATS:
            raise self.error(f"{{m,n}} wants m <= n <= {MAX_REPEATS}")
        self.place = end + 1
        return least, most


@dataclass(frozen=True, eq=False)
class Automaton:
    """A deterministic automaton over classes; state 0 is the first."""

    moves: tuple[dict[int, int], ...]
    """For each state, class to the state behind it."""
    accepting: tuple[bool, ...]
    """For each state, whether a text may end in it."""

    def accepts(self, labels: Iterable[int]) -> bool:
        """Whether the text of these classes is one."""
        state = 0
        for label in labels:
            following = self.moves[state].get(label)
            if following is None:
                return False
            state = following
        return self.accepting[state]


@cache
def compile_grammar(pattern: str, characters: tuple[str, ...]) -> Automaton:
    """The automaton of all texts of `characters` that match `pattern`; class i is character i.

    Raises `ValueError`, a sentence that names the place, for what is no expression of the subset,
    for one that no text of the characters matches, and for one of over `MAX_STATES` states.
    """
    whole = _Parser(pattern).whole()
    # Characters that stand in the same sets lead to the same states.
    sets = list(dict.fromkeys(_symbol_sets(whole)))
    kinds = [
        tuple(tuple(point in one for one in sets) for point in character)
        for character in characters
    ]
    examples = dict(zip(kinds, characters, strict=True))
    states = {whole: 0}
    pending = [whole]
    moves: list[dict[int, int]] = []
    while pending:
        state = pending.pop(0)
        behind = {kind: reduce(_derivative, example, state) for kind, example in examples.items()}
        moves.append({})
        for label, kind in enumerate(kinds):
            following = behind[kind]
            if following == _NONE:
                continue
            if following not in states:
                states[following] = len(states)
                pending.append(following)
            moves[-1][label] = states[following]
        if len(states) > MAX_STATES:
            raise ValueError(f"the grammar {pattern!r} has over {MAX_STATES} states")
    accepting = tuple(state.nullable for state in states)
    if not any(accepting):
        raise ValueError(f"no text of the alphabet matches the grammar {pattern!r}")
    return Automaton(tuple(moves), accepting)
