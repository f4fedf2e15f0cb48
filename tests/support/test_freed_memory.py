"""Memory that was freed is used again, and goes back to the system afterwards."""

import subprocess
import sys

PROGRAM = """
import re, resource
from lprnet.support.freed_memory import freed_memory_kept

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        b"x" * (64 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def megabytes():
    (found,) = re.findall(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())
    return int(found) >> 10

before = megabytes()
outside = faults()
with freed_memory_kept():
    inside, kept = faults(), megabytes()
print(outside, inside, faults(), kept - before, megabytes() - before)
"""


def test_pages_are_filled_once_and_given_back() -> None:
    """Ten strings of 64 MB, of which each is freed before the next one is made."""
    command = [sys.executable, "-c", PROGRAM]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    outside, inside, after, kept, left = map(int, ran.stdout.split())
    assert inside < 0.2 * outside
    assert after > 0.8 * outside
    assert kept > 50
    assert left < 20
