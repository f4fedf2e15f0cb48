"""The project's C under AddressSanitizer: `python -m tests.fuzz.sanitized.run --count 100000`.

Damaged arguments go to `dispatch.c`, mutants of manifests to the example's reader, whose answer
is compared with Python's. Exits with 1 for any fault that a sanitizer finds and for any manifest
that both accept and read differently. C accepts more, for it looks only at what it uses.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from lprnet.runtime.manifest import from_json
from tests.fuzz.sanitized import build
from tests.fuzz.targets import find_target, mutant

SECONDS = 3600


def run_dispatch(program: Path, first: int, count: int) -> str:
    """What `dispatch_driver` says of so many calls. Raises `CalledProcessError` for a fault."""
    command = [str(program), str(first), str(first + count)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS)
    return ran.stdout.strip()


def run_manifests(program: Path, first: int, count: int) -> tuple[Counter[str], list[str]]:
    """How often who accepted what, and what is wrong. A fault that a sanitizer finds is raised,
    with its report, as `RuntimeError`.
    """
    counts, wrong = Counter[str](), []
    target = find_target("manifests")
    process = subprocess.Popen(
        [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        for number in range(first, first + count):
            _, content = mutant(target, number)
            try:
                process.stdin.write(len(content).to_bytes(4, "little") + content)
                process.stdin.flush()
                answer = process.stdout.readline()
            except BrokenPipeError:
                answer = b""
            if not answer:
                report = process.stderr.read().decode(errors="replace")
                raise RuntimeError(f"manifest {number}: {report}")
            expected = python_answer(content)
            counts[f"C {'accepts' if answer[:1] == b'a' else 'refuses'}, "
                   f"Python {'refuses' if expected is None else 'accepts'}"] += 1  # fmt: skip
            if answer[:1] == b"a" and expected is not None and answer != expected:
                wrong.append(f"manifest {number}: C reads {answer!r}, Python {expected!r}")
        process.stdin.close()
        if process.wait(SECONDS):
            raise RuntimeError(process.stderr.read().decode(errors="replace"))
    return counts, wrong


def python_answer(content: bytes) -> bytes | None:
    """The line that `manifest_driver` should print; None where Python refuses the manifest."""
    try:
        found = from_json(content)
    except ValueError:
        return None
    version = found.target_versions[-1]
    facts = (found.contract, found.alphabet.blank, version.arena_bytes // 4)
    symbols = (one.encode("utf-8", "surrogatepass").hex() for one in found.alphabet.symbols)
    return " ".join(("a", *map(str, facts), *symbols)).encode() + b"\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.sanitized.run", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0, help="the number of the first mutant")
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        if (reason := build.why_not(folder)) is not None:
            print(f"skipped: {reason}")
            return 0
        calls = run_dispatch(build.dispatch_driver(folder), options.seed, 10 * options.count)
        counts, wrong = run_manifests(build.manifest_driver(folder), options.seed, options.count)
    print(json.dumps({"dispatch": calls, "manifests": counts, "wrong": wrong}, indent=2))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
