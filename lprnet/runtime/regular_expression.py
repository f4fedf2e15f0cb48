"""Regular expressions as values, their derivatives, and a parser of them.

The text of one is a subset of Python's: characters, `[A-Z]`, `(...)` or `(?:...)`, `|`, `?`, `*`,
`+`, `{m}`, `{m,n}`, and a backslash before a character that would mean something else. The
derivative of an expression by a symbol describes what may follow that symbol (Brzozowski,
"Derivatives of Regular Expressions", JACM 1964).
"""

from collections.abc import Iterable, Iterator
from functools import reduce
from typing import NamedTuple

MAX_REPEATS = 100
MAX_LENGTH = 1000
"""Characters of an expression."""
MAX_SIZE = 64
"""Characters and sets of an expression whose repeats are written out; that of China has 19. The
derivatives of twice as many can take eight times as long."""
MAX_IN_SETS = 1 << 17
"""Characters of all sets together, six times those of the common Chinese ones; each is an object.
"""
MAX_DEPTH = 20
"""Parentheses within each other; each takes several calls of Python."""
SPECIAL = frozenset("\\[](){}|?*+.^$")

Symbols = frozenset[str]


class Node(NamedTuple):
    """An expression. `kind` is `none` (no text), `empty` (the empty text), `one` (a symbol of
    `symbols`), `then` (`parts` in order), `or` (any of `choices`), or `repeat` (`parts[0]` any
    number of times).
    """

    kind: str
    symbols: Symbols = frozenset()
    parts: tuple["Node", ...] = ()
    choices: frozenset["Node"] = frozenset()

    @property
    def size(self) -> int:
        """The symbol sets in it."""
        inside = sum(part.size for part in (*self.parts, *self.choices))
        return inside + (self.kind == "one")

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


NONE, _EMPTY = Node("none"), Node("empty")


def _then(first: Node, second: Node) -> Node:
    if NONE in (first, second):
        return NONE
    return _sequence(
        tuple(
            part
            for node in (first, second)
            for part in (node.parts if node.kind == "then" else (node,))
            if part is not _EMPTY
        )
    )


def _sequence(parts: tuple[Node, ...]) -> Node:
    """`parts` in order, none of which is itself a sequence."""
    return parts[0] if len(parts) == 1 else Node("then", parts=parts) if parts else _EMPTY


def _or(nodes: Iterable[Node]) -> Node:
    """One of `nodes`. Equal ones are one, so that there are finitely many derivatives."""
    choices = {
        choice
        for node in nodes
        for choice in (node.choices if node.kind == "or" else (node,))
        if choice != NONE
    }
    if len(choices) == 1:
        return choices.pop()
    return Node("or", choices=frozenset(choices)) if choices else NONE


def derivative(node: Node, symbol: str) -> Node:
    """What may follow `symbol` at the beginning of a text of `node`."""
    match node.kind:
        case "one":
            return _EMPTY if symbol in node.symbols else NONE
        case "or":
            return _or(derivative(choice, symbol) for choice in node.choices)
        case "repeat":
            return _then(derivative(node.parts[0], symbol), node)
        case "then":
            first, rest = node.parts[0], _sequence(node.parts[1:])
            begun = _then(derivative(first, symbol), rest)
            return _or([begun, derivative(rest, symbol)]) if first.nullable else begun
    return NONE


def symbol_sets(node: Node) -> Iterator[Symbols]:
    """The sets of symbols that stand in `node`."""
    if node.kind == "one":
        yield node.symbols
    for part in (*node.parts, *node.choices):
        yield from symbol_sets(part)


def parse(text: str) -> Node:
    """The expression that `text` writes. Raises `ValueError`, a sentence that names the place, and
    for an expression of over `MAX_LENGTH` characters, `MAX_SIZE` sets or `MAX_IN_SETS` characters
    in these.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the grammar {text[:20]!r}... has over {MAX_LENGTH} characters")
    return _Parser(text).whole()


class _Parser:
    """Recursive descent over `text`; errors are `ValueError`s that name the place."""

    def __init__(self, text: str) -> None:
        self.text, self.place, self.depth, self.in_sets = text, 0, 0, 0

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

    def whole(self) -> Node:
        node = self.alternatives()
        if self.peek():
            raise self.error(f"{self.peek()!r} is not understood")
        return node

    def alternatives(self) -> Node:
        nodes = [self.sequence()]
        while self.peek() == "|":
            self.take()
            nodes.append(self.sequence())
        return _or(nodes)

    def sequence(self) -> Node:
        node = _EMPTY
        while self.peek() and self.peek() not in "|)":
            node = self.bounded(_then(node, self.repeated(self.atom())))
        return node

    def bounded(self, node: Node, times: int = 1) -> Node:
        """`node`, which is to be written out so many times."""
        if node.size * times > MAX_SIZE:
            raise self.error(f"over {MAX_SIZE} characters and sets, with repeats written out,")
        return node

    def atom(self) -> Node:
        match self.take():
            case "(":
                if self.text.startswith("?:", self.place):
                    self.place += 2
                self.depth += 1
                if self.depth > MAX_DEPTH:
                    raise self.error(f"over {MAX_DEPTH} parentheses within each other")
                node = self.alternatives()
                self.take(")")
                self.depth -= 1
                return node
            case "[":
                return Node("one", self.char_class())
            case "\\":
                return Node("one", frozenset(self.take()))
            case character if character in SPECIAL:
                self.place -= 1
                raise self.error(f"{character!r} is not understood")
            case character:
                return Node("one", frozenset(character))

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
            self.in_sets += ord(last) - ord(first) + 1
            if self.in_sets > MAX_IN_SETS:
                raise self.error(f"sets with over {MAX_IN_SETS:,} characters together")
            symbols.update(map(chr, range(ord(first), ord(last) + 1)))
        self.take("]")
        if not symbols:
            raise self.error("'[]' matches nothing")
        return frozenset(symbols)

    def repeated(self, node: Node) -> Node:
        match self.peek():
            case "?":
                self.take()
                return _or([node, _EMPTY])
            case "*":
                self.take()
                return Node("repeat", parts=(node,))
            case "+":
                self.take()
                return _then(node, Node("repeat", parts=(node,)))
            case "{":
                least, most = self.bounds()
                self.bounded(node, most)
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
