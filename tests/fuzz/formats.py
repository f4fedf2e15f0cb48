"""How mutants of PNG, JPEG, WebP, BMP and TIFF are made."""

import random
import re
import struct
import zlib
from dataclasses import replace

from tests.fuzz.parts import NUMBERS, Format, Part
from tests.fuzz.seeds import whole_files

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_CHUNKS = b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI tEXt".split()
PNG_CHUNKS += b"zTXt iTXt bKGD hIST pHYs sPLT eXIf tIME acTL fcTL fdAT oFFs pCAL sCAL".split()
PNG_CHUNKS += b"gIFg gIFx sTER dSIG CgBI".split()
WEBP_CHUNKS = [b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP "]
TIFF_TAGS = [254, *range(256, 260), 262, 263, 266, 269, *range(273, 275), *range(277, 285)]
TIFF_TAGS += [290, 292, 293, 296, 297, 301, 305, 317, 318, 320, 322, 323, 324, 325, 330, 332]
TIFF_TAGS += [338, 339, 340, 341, 347, 512, 513, 514, 529, 530, 531, 532, 700, 33432, 34665, 34675]


def number(rng: random.Random, width: int, order: str = ">") -> bytes:
    """An unexpected number of `width` bytes, or a small one."""
    value = rng.choice(NUMBERS) if rng.random() < 0.6 else rng.randrange(40)
    return struct.pack(order + {1: "B", 2: "H", 4: "I"}[width], value % (1 << 8 * width))


def body(rng: random.Random) -> bytes:
    """Up to a few hundred bytes: random, zeros, compressed, or an EXIF block."""
    length = rng.choice([0, 1, 2, 3, 4, 5, 8, 9, 13, 26, 32, 300])
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, rng.randrange(10), 0, 0)
    return rng.choice(
        [
            rng.randbytes(length),
            bytes(length),
            b"".join(number(rng, 4) for _ in range(length // 4)),
            b"Raw profile type exif\0\0" + zlib.compress(bytes(length * 99)),
            tiff,
            b"Exif\0\0" + tiff,
        ]
    )


def split_png(content: bytes) -> list[Part]:
    parts, at = [], len(PNG_SIGNATURE)
    while at < len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        parts.append(Part(kind, content[at + 8 : at + 8 + length]))
        at += 12 + length
    return parts


def join_png(parts: list[Part], rng: random.Random) -> bytes:
    content = PNG_SIGNATURE
    for part in parts:
        length = len(part.body) if rng.random() < 0.99 else rng.choice(NUMBERS)
        checksum = zlib.crc32(part.kind + part.body) ^ (rng.random() < 0.01)
        content += struct.pack(">I", length) + part.kind + part.body + struct.pack(">I", checksum)
    return content


def another_png(rng: random.Random) -> Part:
    kind = rng.choice(PNG_CHUNKS)
    frame = struct.pack(">IIIIIHH", rng.randrange(4), 33, 19, 0, 0, 1, 10) + b"\0\0"
    known = {b"acTL": number(rng, 4) + number(rng, 4), b"fcTL": frame, b"fdAT": number(rng, 4)}
    if kind in known and rng.random() < 0.7:
        return Part(kind, known[kind])
    return Part(kind, body(rng))


def resize_png(parts: list[Part], width: int, height: int) -> list[Part]:
    size = struct.pack(">II", width, height)
    return [Part(parts[0].kind, size + parts[0].body[8:]), *parts[1:]]


def split_jpeg(content: bytes) -> list[Part]:
    parts, at = [], 2
    while at < len(content) and content[at + 1] != 0xD9:
        (length,) = struct.unpack_from(">H", content, at + 2)
        end = at + 2 + length
        following = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]").search(content, end)
        data_end = following.start() if following else len(content)
        parts.append(Part(content[at + 1 : at + 2], content[at + 4 : end], content[end:data_end]))
        at = data_end
    return [*parts, Part(b"\xd9", b"")]


def join_jpeg(parts: list[Part], rng: random.Random) -> bytes:
    content = b"\xff\xd8"
    for part in parts:
        content += b"\xff" + part.kind
        if part.kind != b"\xd9" or part.body:
            length = len(part.body) + 2 if rng.random() < 0.99 else rng.choice(NUMBERS)
            content += struct.pack(">H", length % 65536) + part.body
        content += part.data
    return content


def another_jpeg(rng: random.Random) -> Part:
    kind = bytes([rng.choice([rng.randrange(1, 256), rng.randrange(0xC0, 0xFF), 0xDA, 0xC4, 0xE1])])
    scan = bytes([1, rng.randrange(5), rng.randrange(64)]) + rng.choice([b"\0\x3f\0", b"\1\5\x10"])
    data = rng.choice([b"", rng.randbytes(50).replace(b"\xff", b"\xfe"), b"\xff\xd0"])
    return Part(kind, scan if kind == b"\xda" else body(rng), data)


def resize_jpeg(parts: list[Part], width: int, height: int) -> list[Part]:
    size = struct.pack(">HH", height & 0xFFFF, width & 0xFFFF)
    return [
        replace(part, body=part.body[:1] + size + part.body[5:])
        if part.kind in (b"\xc0", b"\xc2")
        else part
        for part in parts
    ]


def split_webp(content: bytes) -> list[Part]:
    parts, at = [], 12
    while at + 8 <= len(content):
        kind, length = struct.unpack_from("<4sI", content, at)
        parts.append(Part(kind, content[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return parts


def join_webp(parts: list[Part], rng: random.Random) -> bytes:
    content = b"WEBP"
    for part in parts:
        length = len(part.body) if rng.random() < 0.99 else rng.choice(NUMBERS)
        content += part.kind + struct.pack("<I", length) + part.body + b"\0" * (len(part.body) % 2)
    length = len(content) if rng.random() < 0.98 else rng.choice(NUMBERS)
    return b"RIFF" + struct.pack("<I", length) + content


def another_webp(rng: random.Random) -> Part:
    kind = rng.choice(WEBP_CHUNKS)
    canvas = bytes([rng.randrange(256), 0, 0, 0, 32, 0, 0, 18, 0, 0])
    frame = bytes(6) + bytes([32, 0, 0, 18, 0, 0, 9, 0, 0, 0])
    known = {b"VP8X": canvas, b"ANMF": frame + body(rng), b"ANIM": bytes(6)}
    return Part(kind, known[kind] if kind in known and rng.random() < 0.7 else body(rng))


def resize_webp(parts: list[Part], width: int, height: int) -> list[Part]:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    lossy = struct.pack("<HH", width & 0x3FFF, height & 0x3FFF)
    lossless = struct.pack("<I", (width - 1) & 0x3FFF | ((height - 1) & 0x3FFF) << 14)
    bodies = {
        b"VP8X": lambda body: body[:4] + canvas,
        b"VP8 ": lambda body: body[:6] + lossy + body[10:],
        b"VP8L": lambda body: body[:1] + lossless + body[5:],
    }
    return [Part(one.kind, bodies.get(one.kind, bytes)(one.body)) for one in parts]


def split_bmp(content: bytes) -> list[Part]:
    """The fields of the header, 2 bytes each, then all else."""
    fields = [Part(b"", content[at : at + 2]) for at in range(2, 54, 2)]
    return [*fields, Part(b"", content[54:])]


def join_bmp(parts: list[Part], rng: random.Random) -> bytes:
    return b"BM" + b"".join(part.body for part in parts)


def another_bmp(rng: random.Random) -> Part:
    return Part(b"", number(rng, 2, "<"))


def resize_bmp(parts: list[Part], width: int, height: int) -> list[Part]:
    size = struct.pack("<II", width, height)
    return [*parts[:8], *(Part(b"", size[at : at + 2]) for at in range(0, 8, 2)), *parts[12:]]


def split_tiff(content: bytes) -> list[Part]:
    """The bytes before the first directory, its fields, the bytes behind it."""
    (at,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, at)
    end = at + 2 + 12 * count
    fields = [content[entry : entry + 12] for entry in range(at + 2, end, 12)]
    parts = [Part(field[:8], field[8:]) for field in fields]
    return [Part(b"", content[:at]), *parts, Part(b"", content[end:])]


def join_tiff(parts: list[Part], rng: random.Random) -> bytes:
    """Mutants of one more field, or of fewer, move what follows: so fields are padded."""
    fields = [part.kind + part.body for part in parts if part.kind]
    first, *rest = [part.body for part in parts if not part.kind] or [b"II*\0\x08\0\0\0"]
    return first + struct.pack("<H", len(fields)) + b"".join(fields) + b"".join(rest)


def another_tiff(rng: random.Random) -> Part:
    kind = struct.pack("<HH", rng.choice(TIFF_TAGS), rng.choice([1, 2, 3, 4, 5, 7, 12, 13]))
    return Part(kind + rng.choice([b"\1\0\0\0", number(rng, 4, "<")]), number(rng, 4, "<"))


def resize_tiff(parts: list[Part], width: int, height: int) -> list[Part]:
    sizes = {struct.pack("<H", tag): size for tag, size in ((256, width), (257, height))}
    return [
        Part(part.kind[:2] + b"\4\0\1\0\0\0", struct.pack("<I", sizes[part.kind[:2]]))
        if part.kind[:2] in sizes
        else part
        for part in parts
    ]


def all_formats() -> dict[str, Format]:
    """By name."""
    return {
        "PNG": Format(whole_files("PNG"), split_png, join_png, another_png, resize_png),
        "JPEG": Format(whole_files("JPEG"), split_jpeg, join_jpeg, another_jpeg, resize_jpeg),
        "WEBP": Format(whole_files("WEBP"), split_webp, join_webp, another_webp, resize_webp),
        "BMP": Format(whole_files("BMP"), split_bmp, join_bmp, another_bmp, resize_bmp),
        "TIFF": Format(whole_files("TIFF"), split_tiff, join_tiff, another_tiff, resize_tiff),
    }
