"""Reads one image file with one engine, in a new process, to time a cold start.

    python -S first_text.py PARENT ENGINE FILE IMAGE

Every engine has this program, and the same lines decode the image and the logits of all but ours,
which reads as its users do and has more to do: it checks its file and the image's header, and
computes confidences. ENGINE is `lprnet`, a module of `engines/`, or a key of `LOADERS` of
`lprnet/reports/benchmark/loaders.py`. Printed are the memory in bytes that the process has taken,
and the text, as classes unless it is ours. It ends with PARENT, the number of the process that
started it: a start that hangs would outlive a killed report. It asks for that itself, since another
program that does it first (`run_with_parent.py`) would count as part of the start.

Nothing is imported that the engine or the image does not need; NumPy itself imports ctypes.
"""

import ctypes
import os
import signal
import sys

BLANK = 67
PR_SET_PDEATHSIG = 1
"""Of prctl(2)."""


def ours(file: str, image: str) -> str:
    """The text that an artifact reads."""
    from lprnet.runtime.recognizer import Recognizer

    return Recognizer(file).read(image, grammar=False).text


def of_an_engine(name: str, file: str, image: str) -> str:
    """The classes that an engine reads, as the greedy decoder does."""
    from importlib import import_module
    from importlib.machinery import PathFinder

    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "engines")
    if PathFinder.find_spec(name, [folder]):
        bind, as_pixels = import_module(f"engines.{name}").load(file), False
    else:
        from pathlib import Path

        from lprnet.reports.benchmark.loaders import LOADERS

        load, as_pixels = LOADERS[name]
        bind = load(Path(file))

    import cv2
    import numpy as np

    read = cv2.imread(image)
    assert read is not None
    x = cv2.resize(read, (94, 24)).astype(np.float32)
    if not as_pixels:
        x = (x - np.float32(127.5)) / np.float32(128)
    logits = bind(np.ascontiguousarray(x.transpose(2, 0, 1)[None]))()
    best = logits[0].argmax(axis=0).tolist()
    kept = [
        one for one, before in zip(best, [BLANK, *best], strict=False) if one not in (BLANK, before)
    ]
    return " ".join(map(str, kept))


def resident_bytes() -> int:
    """Resident memory of this process."""
    with open("/proc/self/status", encoding="ascii") as status:
        (line,) = (line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    parent, engine, path, photo = sys.argv[1:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit("error: the process that started this one has ended")
    # Engines print to stdout when they are imported; the answer has it for itself.
    answer = os.dup(1)
    os.dup2(2, 1)
    text = ours(path, photo) if engine == "lprnet" else of_an_engine(engine, path, photo)
    os.write(answer, f"{resident_bytes()} {text}\n".encode())
