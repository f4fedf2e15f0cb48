"""Each candidate is timed once a round, in a shuffled order."""

from collections import Counter
from functools import partial

from lprnet.measure.timing import interleaved_timings


def test_each_round_has_an_order_of_its_own() -> None:
    calls: list[str] = []
    rounds = 30
    samples = interleaved_timings({name: partial(calls.append, name) for name in "abc"}, 28, 2)
    assert {name: len(times) for name, times in samples.items()} == {"a": 28, "b": 28, "c": 28}
    orders = ["".join(calls[3 * i : 3 * i + 3]) for i in range(rounds)]
    assert {"".join(sorted(order)) for order in orders} == {"abc"}
    before = Counter(calls[i - 1] for i in range(1, len(calls)) if calls[i] == "a")
    assert min(before["b"], before["c"]) >= rounds // 4


def test_rounds_are_the_same_in_every_run() -> None:
    calls: list[str] = []
    for _ in range(2):
        interleaved_timings({name: partial(calls.append, name) for name in "abc"}, 5, 0)
    assert calls[:15] == calls[15:]
