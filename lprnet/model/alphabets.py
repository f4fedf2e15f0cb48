"""The alphabets that are known by name, and those of a user's file.

A file is UTF-8, one symbol a line in the order of the classes. The line `<blank>` stands for the
blank, and a line `<grammar> REGEX` says what a whole text looks like (`lprnet/runtime/grammar.py`).
"""

import os
from pathlib import Path

from lprnet.runtime.alphabet import CHINA, Alphabet
from lprnet.runtime.plate_grammar import (
    DIGITS,
    GRAMMAR_WITH_MARKS,
    LETTERS,
    MARKS,
    PROVINCES,
)
from lprnet.support.errors import UserError

BLANK, GRAMMAR = "<blank>", "<grammar>"
MAX_BYTES = 100_000
"""Far more than an alphabet of an LPRNet; a larger file is another file."""

_LATIN = (*DIGITS, *"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "-")
_CHINA_NO_I_O = (*PROVINCES, *DIGITS, *LETTERS, "-")
_CHINA_MARKS = (*CHINA.characters, *MARKS, "-")
_RUSSIA = (*DIGITS, *"ABEKMHOPCTYX", "-")
_DIGITS = (*DIGITS, "-")

ALPHABETS: tuple[Alphabet, ...] = (
    CHINA,
    Alphabet("china-no-io", _CHINA_NO_I_O, len(_CHINA_NO_I_O) - 1, CHINA.grammar),
    Alphabet("china-marks", _CHINA_MARKS, len(_CHINA_MARKS) - 1, GRAMMAR_WITH_MARKS),
    Alphabet("latin", _LATIN, len(_LATIN) - 1),
    Alphabet("russia", _RUSSIA, len(_RUSSIA) - 1),
    Alphabet("digits", _DIGITS, len(_DIGITS) - 1),
)
"""The blank is the last class. `china-marks` is ours; the others have the order of the public
checkpoints with these classes."""


class UnknownAlphabetError(UserError):
    """A network has as many classes as no known alphabet, and nobody said what they are."""

    def __init__(self, classes: int, sentence: str) -> None:
        super().__init__(sentence)
        self.classes = classes


def find_alphabet(name: str) -> Alphabet:
    """The alphabet that a user names: one of `ALPHABETS`, or else a file.

    Raises `UserError` for a name of neither, and for a file that is no alphabet.
    """
    for alphabet in ALPHABETS:
        if alphabet.name == name:
            return alphabet
    if not os.path.isfile(name):  # pathlib's raises for a name that is too long
        raise UserError(
            f"there is no alphabet and no file {name}; give one of "
            f"{', '.join(alphabet.name for alphabet in ALPHABETS)}, or a UTF-8 file with one "
            "symbol a line"
        )
    return read_alphabet(Path(name))


def read_alphabet(path: Path) -> Alphabet:
    """The alphabet in the file `path`, called by its stem. Raises `UserError`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path} is no alphabet: it has more than {MAX_BYTES:,} bytes")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"cannot read the alphabet {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no alphabet: it is not UTF-8; save it as UTF-8") from error
    lines = [line.strip() for line in lines if line.strip()]
    grammars = [line.removeprefix(GRAMMAR).strip() for line in lines if line.startswith(GRAMMAR)]
    symbols = tuple(line for line in lines if not line.startswith(GRAMMAR))
    if symbols.count(BLANK) != 1 or len(grammars) > 1:
        raise UserError(
            f"{path} is no alphabet: it has {symbols.count(BLANK)} lines {BLANK} and "
            f"{len(grammars)} lines {GRAMMAR}; mark the one class that is CTC's blank by {BLANK}, "
            "and give one grammar or none"
        )
    try:
        return Alphabet(path.stem, symbols, symbols.index(BLANK), *grammars)
    except ValueError as error:
        raise UserError(f"{path} is no alphabet: {error}; correct the file") from error


def alphabet_for(classes: int, named: Alphabet | None, checkpoint: Path) -> Alphabet:
    """The alphabet of a network with `classes` classes: `named`, or else the one known of its size.

    Raises `UserError` where `named` has another size and where several are known,
    `UnknownAlphabetError` where none is.
    """
    known = [alphabet for alphabet in ALPHABETS if alphabet.classes == classes]
    names = ", ".join(alphabet.name for alphabet in known)
    if named is not None:
        if named.classes == classes:
            return named
        others = f"the known ones of its size are {names}" if known else "none is known of its size"
        raise UserError(
            f"{checkpoint} has {classes} classes, the blank included, and the alphabet "
            f"{named.name} has {named.classes}; {others}, or give --alphabet FILE with one "
            f"symbol a line and {BLANK} for the blank"
        )
    if len(known) > 1:
        raise UserError(
            f"{checkpoint} has {classes} classes, the blank included, as the alphabets {names} "
            "have; say by --alphabet which it is"
        )
    if not known:
        raise UnknownAlphabetError(
            classes,
            f"{checkpoint} has {classes} classes, the blank included, and no known alphabet has as "
            f"many ({_sizes()}); give --alphabet FILE with one symbol a line and {BLANK} for the "
            "blank, which CTC needs as a class of its own",
        )
    return known[0]


def _sizes() -> str:
    return ", ".join(f"{alphabet.name} {alphabet.classes}" for alphabet in ALPHABETS)
