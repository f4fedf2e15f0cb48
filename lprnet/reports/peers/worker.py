"""Runs one engine in that engine's own environment, for `remote_engine.py`.

    python worker.py convert ENGINE SOURCE TARGET
    python worker.py serve ENGINE FILE
    python worker.py first ENGINE FILE IMAGE

`serve` takes a request a line, JSON, and answers each with a line:

    {"bind": [N, 3, 24, 94]}, then the float32 values   =>  {}
    {"time": N}                                         =>  {"ms": 1.25}
    {"run": N}                                          =>  {"shape": [N, 68, 18]}, then float32

Of each batch size N the images that were bound last are run. A call that is timed follows one that
is not: the engine had to wait for its turn, and its caches are to be no colder than those of an
engine in the process that measures. `first` prints the text on an image file, as classes, then the
memory in bytes that this process has taken. Nothing here needs a package but NumPy, the engine's
own and, for `first`, OpenCV.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import BinaryIO

import numpy as np
from engines.interface import Array, Bind, Infer

BLANK = 67


def serve(bind: Bind, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until there is no further request."""
    bound: dict[int, Infer] = {}
    for line in requests:
        request = json.loads(line)
        if "bind" in request:
            shape = request["bind"]
            values = np.frombuffer(requests.read(4 * int(np.prod(shape))), np.float32)
            bound[shape[0]] = bind(values.reshape(shape).copy())
            answers.write(b"{}\n")
        elif "time" in request:
            infer = bound[request["time"]]
            infer()
            start = time.perf_counter_ns()
            infer()
            elapsed = time.perf_counter_ns() - start
            answers.write(f'{{"ms": {elapsed / 1e6}}}\n'.encode())
        else:
            logits = np.ascontiguousarray(bound[request["run"]](), np.float32)
            answers.write(json.dumps({"shape": logits.shape}).encode() + b"\n" + logits.tobytes())
        answers.flush()


def first_text(bind: Bind, image: str) -> list[int]:
    """The classes that the engine reads on one image file, as the greedy decoder does."""
    import cv2

    read = cv2.imread(image)
    assert read is not None
    pixels = cv2.resize(read, (94, 24))
    x: Array = ((pixels.astype(np.float32) - 127.5) / 128).transpose(2, 0, 1)[None]
    best = bind(np.ascontiguousarray(x))()[0].argmax(axis=0).tolist()
    return [
        one for one, before in zip(best, [BLANK, *best], strict=False) if one not in (BLANK, before)
    ]


def resident_bytes() -> int:
    """Resident memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def main(verb: str, name: str, *rest: str) -> None:
    """Do one of the three verbs."""
    # Engines print to stdout when they are imported; answers have it for themselves.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    engine = importlib.import_module(f"engines.{name}")
    if verb == "convert":
        engine.convert(*map(Path, rest))
    elif verb == "serve":
        serve(engine.load(Path(rest[0])), sys.stdin.buffer, answers)
    else:
        file, image = rest
        text = first_text(engine.load(Path(file)), image)
        answers.write(f"{json.dumps([text, resident_bytes()])}\n".encode())
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
