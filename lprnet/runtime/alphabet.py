"""Which symbol each class of an LPRNet stands for, and which class is the CTC blank.

`CHINA` has the 68 classes of the public checkpoint, in the order of its last layer. `I` and `O` are
classes of it although mainland serials never use them; `plate_grammar.py` rules them out.
"""

from functools import cached_property

from lprnet.runtime import late_import
from lprnet.runtime.plate_grammar import CHARACTERS, DIGITS, GRAMMAR, LETTERS, PROVINCES
from lprnet.runtime.record import record
from lprnet.support.file_names import printable

MAX_SYMBOL = 16
"""Characters of a symbol."""
MAX_CLASSES = 1 << 16
"""Beyond is no LPRNet."""


@record(frozen=True)
class Alphabet:
    """The classes of a network in order, the blank among them."""

    name: str
    symbols: tuple[str, ...]
    """One a class, all different; that of the blank is never part of a text."""
    blank: int
    """The class that separates characters (Graves et al., ICML 2006)."""
    grammar: str | None = None
    """A regular expression (`grammar.py`) of the texts that are plates; None: any text may be one.
    """

    def __post_init__(self) -> None:
        """Raises `ValueError` if classes do not determine the text."""
        if not 0 <= self.blank < len(self.symbols):
            raise ValueError(
                f"the blank is class {self.blank} of {len(self.symbols)}, counted from 0"
            )
        if len(self.symbols) > MAX_CLASSES:
            raise ValueError(f"an alphabet has at most {MAX_CLASSES:,} symbols")
        if len(self.symbols) < 2 or not all(self.symbols):
            raise ValueError("an alphabet needs a symbol for each class, and one beside the blank")
        long = [symbol for symbol in self.symbols if len(symbol) > MAX_SYMBOL]
        if long:
            raise ValueError(f"the symbol {long[0][:20]!r}... has over {MAX_SYMBOL} characters")
        if not "".join(self.symbols).isprintable():
            for symbol in self.symbols:
                if printable(symbol) != symbol:
                    raise ValueError(f"the symbol {symbol!r} is none that a line of text can hold")
        if len(self.index) < len(self.symbols):
            repeated = next(s for place, s in enumerate(self.symbols) if self.index[s] != place)
            raise ValueError(f"the symbol {repeated!r} stands for more than one class")
        # China's grammar is known to be right. It is compiled when something is read with it.
        chinas = self.grammar == GRAMMAR and CHARACTERS.issubset(self.characters)
        if self.grammar is not None and not chinas:
            late_import.grammar().compile_grammar(self.grammar, self.characters)

    @property
    def classes(self) -> int:
        """How many classes there are, the blank included."""
        return len(self.symbols)

    @cached_property
    def index(self) -> dict[str, int]:
        """Symbol to class."""
        return {symbol: index for index, symbol in enumerate(self.symbols)}

    @cached_property
    def characters(self) -> tuple[str, ...]:
        """The symbols without the blank's."""
        return self.symbols[: self.blank] + self.symbols[self.blank + 1 :]

    def encode(self, text: str) -> tuple[int, ...]:
        """The classes that spell `text`, the longest symbols first.

        Raises `ValueError` naming the first character that none of them has.
        """
        symbols = sorted(self.characters, key=len, reverse=True)
        classes, rest = [], text
        while rest:
            symbol = next((one for one in symbols if rest.startswith(one)), None)
            if symbol is None:
                raise ValueError(f"{rest[0]!r} is no character of the alphabet {self.name}")
            classes.append(self.index[symbol])
            rest = rest[len(symbol) :]
        return tuple(classes)

    def spelling(self, text: str) -> str:
        """`text`, or where the symbols do not spell it, its composed or decomposed form (Unicode's
        NFC and NFD), if they spell that: files from a Mac can be named in the other one.
        """
        import unicodedata  # only where labels are compared, not where plates are read

        forms = (text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD")))
        return next(filter(self._spells, forms), text)

    def _spells(self, text: str) -> bool:
        try:
            self.encode(text)
        except ValueError:
            return False
        return True

    def is_plate(self, text: str) -> bool:
        """Whether the grammar allows `text`; without a grammar, every text."""
        if self.grammar is None:
            return True
        try:
            classes = self.encode(text)
        except ValueError:
            return False
        # The automaton counts the characters without the blank.
        labels = [one - (one > self.blank) for one in classes]
        automaton = late_import.grammar().compile_grammar(self.grammar, self.characters)
        return bool(automaton.accepts(labels))


CHINA = Alphabet("china", (*PROVINCES, *DIGITS, *LETTERS, "I", "O", "-"), 67, GRAMMAR)

ALPHABET, CLASSES, BLANK, INDEX = CHINA.symbols, CHINA.classes, CHINA.blank, CHINA.index
