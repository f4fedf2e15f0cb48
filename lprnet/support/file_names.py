"""File names in output: any bytes but `/` and 0 may be in one, UTF-8 or not.

Python holds a byte that is not UTF-8 as a lone surrogate, U+DC80 to U+DCFF (PEP 383).
"""

import re

# Compiled when first used, and kept by `re`. No printable text has any of these characters.
_SURROGATES = "[\ud800-\udfff]"
_CONTROL = "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def printable(text: str) -> str:
    """`text` for a terminal, on one line: control characters and bytes that are not UTF-8 become
    `\\n`, `\\t`, `\\xe9`, ...
    """
    return text if text.isprintable() else re.sub(_CONTROL, _escaped, text)


def escaped_bytes(text: str) -> str:
    """`text` with every byte that is not UTF-8 as `\\xe9`, ..., and nothing else changed."""
    return text if text.isprintable() else re.sub(_SURROGATES, _escaped, text)


def utf8(text: str) -> str:
    """`text` with every byte that is not UTF-8 replaced by U+FFFD."""
    return text if text.isprintable() else re.sub(_SURROGATES, "\ufffd", text)


def utf8_json(text: str) -> str:
    """The JSON `text` with such bytes as `\\udce9`, ..., which Python reads back as they were."""
    return (
        text
        if text.isprintable()
        else re.sub(_SURROGATES, lambda found: f"\\u{ord(found.group()):04x}", text)
    )


def _escaped(found: re.Match[str]) -> str:
    character = found.group()
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:
        number -= 0xDC00
    return _NAMED.get(character) or (f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}")
