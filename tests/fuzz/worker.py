"""A process that reads mutants and may die of one: `python -m tests.fuzz.worker FIRST LAST FILE`.

It writes the number of the current mutant to FILE, so that the process that started it knows which
one was fatal. It prints a line of JSON for each mutant that took too much, and counts at the end.
"""

import json
import mmap
import os
import random
import signal
import struct
import sys
import time
from collections import Counter
from pathlib import Path

from lprnet.runtime.image_io import decode_image
from lprnet.support.errors import UserError
from tests.fuzz.formats import all_formats
from tests.fuzz.parts import mutate

SECONDS, PEAK_KB = 2.0, 300_000
"""What one file may take: of the processor, and at most in memory with all of the process."""
GIVE_UP = 30
"""Seconds after which a mutant counts as one that ended the process."""


def mutant(number: int) -> tuple[str, bytes]:
    """The name of a format and file `number` of all mutants."""
    rng = random.Random(number)
    name = rng.choice(["PNG", "PNG", "JPEG", "JPEG", "WEBP", "BMP", "TIFF"])
    return name, mutate(all_formats()[name], rng)


def peak_kb() -> int:
    """The most memory that this process held since `reset_peak`."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def main(first: int, last: int, file: Path) -> None:
    output = os.fdopen(os.dup(1), "w")
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)  # what the decoders say of each mutant
    os.dup2(quiet, 2)
    with file.open("r+b") as opened:
        at_hand = mmap.mmap(opened.fileno(), 8)
    counts: Counter[str] = Counter()
    for number in range(first, last):
        signal.alarm(GIVE_UP)
        struct.pack_into("<q", at_hand, 0, number)
        name, content = mutant(number)
        reset_peak()
        began = time.process_time()
        try:
            decode_image(content, "it")
            outcome = "read"
        except UserError:
            outcome = "refused"
        except Exception as error:
            outcome = "escaped"
            print(json.dumps({"escaped": number, "error": repr(error)}), file=output)
        seconds, peak = time.process_time() - began, peak_kb()
        counts[f"{name} {outcome}"] += 1
        if seconds > SECONDS:
            print(json.dumps({"slow": number, "seconds": seconds}), file=output)
        if peak > PEAK_KB:
            print(json.dumps({"large": number, "kilobytes": peak}), file=output)
        counts["slowest, microseconds"] = max(counts["slowest, microseconds"], round(seconds * 1e6))
        counts["peak, kilobytes"] = max(counts["peak, kilobytes"], peak)
    print(json.dumps({"counts": counts}), file=output, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
