"""Runs one engine in that engine's own environment, for `remote_engine.py`.

    python worker.py convert ENGINE SOURCE TARGET
    python worker.py serve ENGINE FILE

`serve` takes a request a line, JSON, and answers each with a line:

    {"bind": [N, 3, 24, 94]}, then the float32 values   =>  {}
    {"time": N}                                         =>  {"ms": 1.25}
    {"run": N}                                          =>  {"shape": [N, 68, 18]}, then float32

Of each batch size N the images that were bound last are run. A call that is timed follows one that
is not: the engine had to wait for its turn, and its caches are to be no colder than those of an
engine in the process that measures. Nothing here needs a package but NumPy and the engine's own.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import BinaryIO

import numpy as np
from engines.interface import Bind, Infer


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


def main(verb: str, name: str, *rest: str) -> None:
    """Do one of the two verbs."""
    # Engines print to stdout when they are imported; answers have it for themselves.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    engine = importlib.import_module(f"engines.{name}")
    if verb == "convert":
        engine.convert(*map(Path, rest))
    else:
        serve(engine.load(rest[0]), sys.stdin.buffer, answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
