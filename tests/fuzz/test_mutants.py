"""A sample of the mutants; `python -m tests.fuzz` reads 200,000."""

import random
import subprocess

import pytest

from tests.fuzz.formats import PNG_CHUNKS, WEBP_CHUNKS, all_formats
from tests.fuzz.run import run
from tests.fuzz.worker import mutant


def test_no_mutant_ends_the_process_or_takes_much_memory() -> None:
    result = run(first=0, count=2_000)
    assert [fault for fault in result.faults if "slow" not in fault] == []
    total = sum(count for name, count in result.counts.items() if "," not in name)
    assert total == 2_000
    for name in all_formats():
        assert result.counts[f"{name} read"] > 20
        assert result.counts[f"{name} refused"] > 20


def test_every_part_is_tried_and_mutants_are_the_same_again() -> None:
    assert mutant(7) == mutant(7)
    rng = random.Random(0)
    markers = [bytes([marker]) for marker in range(0xC0, 0xFF)]
    for name, kinds in (("PNG", PNG_CHUNKS), ("JPEG", markers), ("WEBP", WEBP_CHUNKS)):
        form = all_formats()[name]
        assert {*kinds} <= {form.another(rng).kind for _ in range(5_000)}


def test_a_worker_that_cannot_start_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.run.sys.executable", "/bin/false")
    with pytest.raises(subprocess.CalledProcessError):
        run(0, 10)


def test_a_fatal_mutant_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker dies of mutant 0, which stands in its file; the next one starts behind it."""
    died = iter([-11, 0])

    def ended(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess([], next(died), b"")

    monkeypatch.setattr("tests.fuzz.run.subprocess.run", ended)
    assert run(0, 10).faults == [{"ended": 0, "exit code": -11}]
