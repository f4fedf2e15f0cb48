"""A process that reads mutants and may die of one: `python -m tests.fuzz.worker TARGET FIRST LAST
FILE`.

It writes the number of the current mutant to FILE, so that the process that started it knows which
one was fatal. It prints a line of JSON for each mutant that took too much, and counts at the end.
"""

import json
import mmap
import os
import resource
import signal
import struct
import sys
import time
from collections import Counter
from pathlib import Path

from lprnet.support.errors import UserError
from tests.fuzz.targets import find_target, mutant

SECONDS = 2.0
"""Of the processor, that one mutant may take."""
GIVE_UP, MAX_WAIT = 30, 600
"""Seconds of the processor, and on the clock, after which a mutant counts as one that ended the
process: a busy machine may give it a hundredth of a core."""
MAX_DATA = 2 << 30
"""Bytes that the process can have; allocations fail beyond, so that no mutant fills the machine."""


def peak_kb() -> int:
    """The most memory that this process held since `reset_peak`."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def main(name: str, first: int, last: int, file: Path) -> None:
    target = find_target(name)
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA, MAX_DATA))
    output = os.fdopen(os.dup(1), "w")
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)  # what the decoders say of each mutant
    os.dup2(quiet, 2)
    with file.open("r+b") as opened:
        at_hand = mmap.mmap(opened.fileno(), 8)
    counts: Counter[str] = Counter()

    def fault(**facts: object) -> None:
        print(json.dumps(facts), file=output, flush=True)

    for number in range(first, last):
        signal.setitimer(signal.ITIMER_PROF, GIVE_UP)
        signal.alarm(MAX_WAIT)
        struct.pack_into("<q", at_hand, 0, number)
        kind, content = mutant(target, number)
        reset_peak()
        began = time.process_time()
        try:
            found = target.read(kind, content)
            outcome = "read"
        except UserError as error:
            outcome = "refused"
            if "\n" in str(error) or not str(error):
                fault(refused=number, sentence=str(error))
        except Exception as error:
            outcome = "escaped"
            fault(escaped=number, error=repr(error))
        seconds, peak = time.process_time() - began, peak_kb()
        if outcome == "read":
            try:
                wrong = target.check(kind, content, found)
            except Exception as error:
                wrong = f"cannot be compared: {error!r}"
            if wrong is not None:
                fault(wrong=number, kind=kind, error=wrong)
        counts[f"{kind} {outcome}"] += 1
        if seconds > SECONDS:
            fault(slow=number, seconds=seconds)
        if peak > target.MAX_PEAK_KB:
            fault(large=number, kilobytes=peak)
        counts["slowest, microseconds"] = max(counts["slowest, microseconds"], round(seconds * 1e6))
        counts["peak, kilobytes"] = max(counts["peak, kilobytes"], peak)
    print(json.dumps({"counts": counts}), file=output, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
