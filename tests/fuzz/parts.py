"""Image files taken apart into their parts, changed there, and put together again.

A random byte of a file hits pixels; what kills decoders lies in lengths, orders and counts. So the
mutants keep lengths and checksums right while parts are removed, repeated, moved, cut and filled.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

NUMBERS = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 32, 63, 64, 100, 127, 128, 255, 256, 257]
NUMBERS += [999, 1000, 4096, 16383, 16384, 32767, 32768, 65535, 65536, (1 << 24) - 1]
NUMBERS += [(1 << 31) - 1, 1 << 31, (1 << 32) - 1]

LARGE = 0.02
"""Of all mutants, those that say to be of one of these sizes."""
SIZES = [(4000, 4000), (65_535, 244), (244, 65_535), (4000, 2000), (2828, 2828), (700, 714)]
SIZES += [(65_535, 65_535), (1, 65_535), (1 << 20, 15)]


@dataclass(frozen=True)
class Part:
    """A chunk, a segment, a field: `kind` says which, `data` follow what `body` declares."""

    kind: bytes
    body: bytes
    data: bytes = b""


@dataclass(frozen=True)
class Format:
    """How files of one format come apart."""

    files: Sequence[bytes]
    """What mutants are made from."""
    split: Callable[[bytes], list[Part]]
    join: Callable[[list[Part], random.Random], bytes]
    another: Callable[[random.Random], Part]
    """A part that may stand in such a file and is rare."""
    resize: Callable[[list[Part], int, int], list[Part]]
    """The parts with another width and height in their header."""


def mutate(form: Format, rng: random.Random) -> bytes:
    """One of the format's files with one to four changes."""
    parts = form.split(rng.choice(form.files))
    if rng.random() < LARGE:
        parts = form.resize(parts, *rng.choice(SIZES))
    for _ in range(rng.choice([1, 1, 2, 3, 4])):
        at = rng.randrange(len(parts) + 1)
        change = rng.randrange(10)
        if change < 4:
            parts.insert(at, form.another(rng))
        elif at < len(parts):
            part = parts[at]
            match change:
                case 4:
                    del parts[at]
                case 5:
                    parts[at:at] = [part] * rng.choice([1, 2, 10, 600])
                case 6:
                    parts.insert(rng.randrange(len(parts)), parts.pop(at))
                case 7 if part.data:
                    parts[at] = replace(part, data=change_bytes(part.data, rng))
                case _:
                    parts[at] = replace(part, body=change_bytes(part.body, rng))
        if not parts:
            parts.append(form.another(rng))
    content = form.join(parts, rng)
    if rng.random() < 0.05:
        content = content[: rng.randrange(len(content) + 1)]
    if rng.random() < 0.05:
        content = change_bytes(content, rng)
    return content


def change_bytes(content: bytes, rng: random.Random) -> bytes:
    """Cut, repeated, filled, or with an unexpected number in it."""
    at = rng.randrange(len(content) + 1)
    match rng.randrange(8):
        case 0:
            return content[:at]
        case 1:
            return content + content[:at]
        case 2:
            return content[:at] + rng.randbytes(rng.choice([1, 2, 16, 300])) + content[at:]
        case 3:
            return bytes(len(content))
        case _:
            width = rng.choice([1, 2, 4])
            order = rng.choice(["big", "little"])
            number = rng.choice(NUMBERS) % (1 << 8 * width)
            value = number.to_bytes(width, "big" if order == "big" else "little")
            return (content[:at] + value + content[at + width :])[: max(len(content), width)]
