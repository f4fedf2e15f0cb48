"""File names in output: any bytes but `/` and 0 may be in one, UTF-8 or not.

Python holds a byte that is not UTF-8 as a lone surrogate, U+DC80 to U+DCFF (PEP 383).
"""

import re

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def printable(text: str) -> str:
    """`text` for a terminal, on one line: control characters and bytes that are not UTF-8 become
    `\\n`, `\\t`, `\\xe9`, ...
    """
    return _CONTROL.sub(_escaped, text)


def utf8(text: str) -> str:
    """`text` with every byte that is not UTF-8 replaced by U+FFFD."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def _escaped(found: re.Match[str]) -> str:
    character = found.group()
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:
        number -= 0xDC00
    return _NAMED.get(character) or (f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}")
