"""A service that reads nothing before a file is there: `python held_server.py ARTIFACT FILE QUEUE
SECONDS`.
"""

import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lprnet.runtime.recognizer import Recognizer
from lprnet.service.app import application
from lprnet.service.limits import Limits
from lprnet.service.server import listen, run, say_where


class Held(Recognizer):
    """Waits for the file, at most a minute."""

    gate = Path()

    def logits(self, images: ArrayLike) -> NDArray[np.float32]:
        for _ in range(6000):
            if self.gate.exists():
                break
            time.sleep(0.01)
        return super().logits(images)


if __name__ == "__main__":
    artifact, gate, queue, seconds = sys.argv[1:]
    Held.gate = Path(gate)
    limits = Limits(images=4, batch=1, queue=int(queue), seconds=float(seconds))
    listener = listen("127.0.0.1", 0)
    run(application(Held(artifact), limits), listener, lambda: say_where(listener))
