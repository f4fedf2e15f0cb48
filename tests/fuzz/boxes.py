"""Mutants of the files of `--boxes`: CSV, JSON and JSON lines."""

import json
import math
import random
from pathlib import Path
from tempfile import NamedTemporaryFile

from lprnet.runtime.boxes_file import Found, read_boxes
from tests.fuzz.parts import change_bytes

MAX_PEAK_KB = 300_000
NUMBERS: list[object] = [0, 1, 10.5, -3, 1e9, 1e308, "1e999", "nan", "inf", "", None, True, 10**400]
NUMBERS += ["12", " 7 ", "0x10", "१२", [], {}, "1,5", float("nan"), float("inf"), -0.0]
NAMES: list[object] = ["a.jpg", "", "a\n.jpg", '"', "ü.png", "\0", None, 7, "x" * 300, "=1+1"]
COLUMNS = ["file", "x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4", "note"]


def row(rng: random.Random) -> dict[str, object]:
    numbers = [5, 5, 60, 5, 60, 20, 5, 20] if rng.random() < 0.3 else [5, 5, 60, 20]
    found: dict[str, object] = {"file": "a.jpg"}
    found.update(zip(COLUMNS[1:], numbers, strict=False))
    for _ in range(rng.choice([0, 0, 1, 2])):
        name = rng.choice(COLUMNS)
        found[name] = rng.choice(NAMES if name == "file" else NUMBERS)
    if rng.random() < 0.05:
        found.pop(rng.choice(list(found)))
    return found


def mutate(rng: random.Random) -> tuple[str, bytes]:
    rows = [row(rng) for _ in range(rng.randrange(5))]
    kind = rng.choice([".csv", ".json", ".jsonl"])
    if kind == ".csv":
        columns = rng.sample(COLUMNS, rng.randrange(5, 10)) if rng.random() < 0.2 else COLUMNS
        lines = [",".join(columns)]
        lines += [",".join(str(one.get(name, "")) for name in columns) for one in rows]
        text = rng.choice(["\n", "\r\n", "\r"]).join(lines)
    elif kind == ".json":
        text = json.dumps(rows)
    else:
        text = "\n".join(map(json.dumps, rows))
    content = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.01:
        content = rng.choice([b"[" * 100_000, b'"' * 100_000, b"\xef\xbb\xbf" + content])
    return kind, change_bytes(content, rng) if rng.random() < 0.3 else content


def read(kind: str, content: bytes) -> list[Found]:
    with NamedTemporaryFile(suffix=kind) as file:
        file.write(content)
        file.flush()
        return list(read_boxes(Path(file.name)))


def check(kind: str, content: bytes, found: list[Found]) -> str | None:
    """Corners that are read are numbers."""
    numbers = [number for _, boxes in found for box in boxes for number in box.numbers]
    return None if all(map(math.isfinite, numbers)) else "a corner is no number"
