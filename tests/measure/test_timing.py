"""Each candidate is timed once a round, right after an uncounted call, in a shuffled order."""

from collections import Counter
from functools import partial

from lprnet.measure.timing import CALLS_BEFORE, OwnClock, interleaved_timings


def test_each_round_has_an_order_of_its_own() -> None:
    every_call: list[str] = []
    rounds, together = 30, CALLS_BEFORE + 1
    candidates = {name: partial(every_call.append, name) for name in "abc"}
    samples = interleaved_timings(candidates, 28, 2)
    assert {name: len(times) for name, times in samples.items()} == {"a": 28, "b": 28, "c": 28}
    calls = every_call[::together]
    assert every_call == [name for name in calls for _ in range(together)]
    orders = ["".join(calls[3 * i : 3 * i + 3]) for i in range(rounds)]
    assert {"".join(sorted(order)) for order in orders} == {"abc"}
    before = Counter(calls[i - 1] for i in range(1, len(calls)) if calls[i] == "a")
    assert min(before["b"], before["c"]) >= rounds // 4


def test_rounds_are_the_same_in_every_run() -> None:
    calls: list[str] = []
    for _ in range(2):
        interleaved_timings({name: partial(calls.append, name) for name in "abc"}, 5, 0)
    assert calls[: len(calls) // 2] == calls[len(calls) // 2 :]


class _ColdFirst(OwnClock):
    """Says that a round's first call, which finds cold caches, takes a hundred times as long."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> None:
        raise AssertionError("it has a clock of its own")

    def milliseconds(self) -> float:
        self.made += 1
        return 1.0 if self.made % (CALLS_BEFORE + 1) == 0 else 100.0


def test_a_call_that_finds_cold_caches_does_not_count() -> None:
    samples = interleaved_timings({"engine": _ColdFirst()}, 5, 1)
    assert samples["engine"].tolist() == [1.0] * 5
