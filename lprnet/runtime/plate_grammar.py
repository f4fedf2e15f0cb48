"""What the number of a mainland Chinese plate may look like.

GA 36-2018 ("Vehicle number plates of the People's Republic of China"), the rules for the numbers:
a province, the letter of the issuing office, and a serial of digits and letters without I and O.
Ordinary serials have five characters. New-energy serials have six: small vehicles a class letter,
a digit or letter, four digits; large vehicles five digits, a class letter; the class letter is D,
A, B, C or E for battery vehicles and F, G, H, J or K for the others. The standard's limit on the
number of letters in an ordinary serial is left out: plates chosen by their owners and those issued
under its predecessors exceed it.
"""

import re

from lprnet.runtime.alphabet import LETTERS, PROVINCES

_HEAD = f"[{''.join(PROVINCES)}][{''.join(LETTERS)}]"
_SERIAL = f"[0-9{''.join(LETTERS)}]"
_CLASS = "[ABCDEFGHJK]"
PLATE = re.compile(
    f"{_HEAD}(?:{_SERIAL}{{5}}|{_CLASS}{_SERIAL}[0-9]{{4}}|[0-9]{{5}}{_CLASS})", re.ASCII
)


def is_plate(text: str) -> bool:
    """Whether `text` is a number that GA 36-2018 allows."""
    return PLATE.fullmatch(text) is not None
