"""Which texts a plate can have: a regular expression, compiled to a table over an alphabet.

The expression is a subset of Python's: characters, `[A-Z]`, `(...)` or `(?:...)`, `|`, `?`, `*`,
`+`, `{m}`, `{m,n}`, and a backslash before a character that would mean something else. It is
compiled by derivatives (Brzozowski, "Derivatives of Regular Expressions", JACM 1964): the
derivative of an expression by a symbol describes what may follow that symbol, and each derivative
is a state.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime.alphabet import Alphabet

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
    """A deterministic automaton over the classes of an alphabet; state 0 is the first.

    Its moves stand one after another, ordered by the state that they leave.
    """

    accepting: NDArray[np.bool_]
    """`(Q,)`: whether a text may end in a state."""
    first: NDArray[np.intp]
    """`(Q + 1,)`: state q's moves are those from `first[q]` up to `first[q + 1]`."""
    labels: NDArray[np.intp]
    """`(M,)`: the class that each move reads."""
    targets: NDArray[np.intp]
    """`(M,)`: the state that it leads to."""

    @cached_property
    def table(self) -> list[dict[int, int]]:
        """For each state, class to target."""
        moves = list(zip(self.labels.tolist(), self.targets.tolist(), strict=True))
        bounds = zip(self.first[:-1].tolist(), self.first[1:].tolist(), strict=True)
        return [dict(moves[begin:end]) for begin, end in bounds]

    def accepts(self, labels: Iterable[int]) -> bool:
        """Whether the text of these classes is one."""
        state: int | None = 0
        for label in labels:
            state = self.table[state].get(label)
            if state is None:
                return False
        return bool(self.accepting[state])


def compile_grammar(pattern: str, alphabet: Alphabet) -> Automaton:
    """The automaton of all texts over `alphabet`, the blank excluded, that match `pattern`.

    Raises `ValueError`, a sentence that names the place, for what is no expression of the subset,
    for one that no text of the alphabet matches, and for one of over `MAX_STATES` states.
    """
    states = {_Parser(pattern).whole(): 0}
    pending = list(states)
    first, labels, targets = [0], [], []
    while pending:
        state = pending.pop(0)
        for label, symbol in enumerate(alphabet.symbols):
            following = _derivative(state, symbol) if label != alphabet.blank else _NONE
            if following == _NONE:
                continue
            if following not in states:
                states[following] = len(states)
                pending.append(following)
            labels.append(label)
            targets.append(states[following])
        first.append(len(labels))
        if len(states) > MAX_STATES:
            raise ValueError(f"the grammar {pattern!r} has over {MAX_STATES} states")
    accepting = np.array([state.nullable for state in states])
    if not accepting.any():
        raise ValueError(f"no text of the alphabet {alphabet.name} matches the grammar {pattern!r}")
    return Automaton(
        accepting, np.array(first, np.intp), np.array(labels, np.intp), np.array(targets, np.intp)
    )
