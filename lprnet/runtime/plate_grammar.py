"""What the number of a mainland Chinese plate may look like.

GA 36-2018 ("Vehicle number plates of the People's Republic of China"), the rules for the numbers:
a province, the letter of the issuing office, and a serial of digits and letters without I and O.
Ordinary serials have five characters. New-energy serials have six: small vehicles a class letter,
a digit or letter, four digits; large vehicles five digits, a class letter; the class letter is D,
A, B, C or E for battery vehicles and F, G, H, J or K for the others. The standard's limit on the
number of letters in an ordinary serial is left out: plates chosen by their owners and those issued
under its predecessors exceed it.
"""

PROVINCES: tuple[str, ...] = tuple("京沪津渝冀晋蒙辽吉黑苏浙皖闽赣鲁豫鄂湘粤桂琼川贵云藏陕甘青宁新")
DIGITS: tuple[str, ...] = tuple("0123456789")
LETTERS: tuple[str, ...] = tuple("ABCDEFGHJKLMNPQRSTUVWXYZ")
"""The 24 letters of a serial: no I and no O."""
CHARACTERS = frozenset((*PROVINCES, *DIGITS, *LETTERS))

_HEAD = f"[{''.join(PROVINCES)}][{''.join(LETTERS)}]"
_SERIAL = f"[0-9{''.join(LETTERS)}]"
_CLASS = "[ABCDEFGHJK]"
GRAMMAR = f"{_HEAD}(?:{_SERIAL}{{5}}|{_CLASS}{_SERIAL}[0-9]{{4}}|[0-9]{{5}}{_CLASS})"
"""A regular expression of the whole text."""

MARKS: tuple[str, ...] = tuple("警学使领港澳挂")
"""Police, driving school, embassy, consulate, Hong Kong, Macau, trailer."""
_MARKED = f"{_HEAD}{_SERIAL}{{4}}[警学领挂]|粤Z{_SERIAL}{{4}}[港澳]|使[0-9]{{6}}"
GRAMMAR_WITH_MARKS = f"{GRAMMAR}|{_MARKED}"
"""The same with the plates that have one of `MARKS`, all in the place of a character."""
