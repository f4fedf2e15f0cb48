"""Sentences that say what a record's numbers are."""

from dataclasses import replace

from lprnet.measure.timing import Accuracy
from lprnet.reports.benchmark.conclusions import conclusions, strongest
from lprnet.reports.benchmark.results import Line
from tests.reports.benchmark.reports import line, report


def test_sentences_name_the_fastest_that_reads_as_many() -> None:
    made = report()
    blind = replace(line("blind", 0.3, ours=False), unseen=Accuracy(806, 900))
    equal = replace(line("equal", 1.0, ours=False), unseen=Accuracy(807, 900))
    text = conclusions(replace(made, lines=(*made.lines, blind, equal)))
    assert "all combined, reads 810 of the 900 unseen plates and takes 0.250 ms a plate." in text
    assert "equal, our graph with 1.000 ms and 807 of the 900 unseen plates" in text
    assert "On our pruned graph no baseline reads as many, less 3." in text
    assert "blind" not in text


def test_where_a_baseline_is_ahead_is_said() -> None:
    made = report()
    assert conclusions(made).endswith("We lose in no column.")
    small = replace(line("small", 1.0, ours=False, graph="quantized"), file_bytes=9)
    quick = replace(line("quick", 0.1, ours=False), unseen=Accuracy(1, 900))
    text = conclusions(replace(made, lines=(*made.lines, small, quick)))
    assert text.endswith(
        "We lose in latency (quick, our graph), plates a second (quick, our graph) and size of the "
        "file (small, our integers)."
    )


def test_the_strongest_line_of_an_engine_reads_enough_or_most() -> None:
    made = report()

    def of(engine: str, name: str, milliseconds: float, correct: int) -> Line:
        one = line(name, milliseconds, ours=False)
        latency = replace(one.latency, engine=engine)
        return replace(one, latency=latency, unseen=Accuracy(correct, 900))

    several = (
        of("a", "slow", 3.0, 810),
        of("a, pixels", "equal", 2.0, 807),
        of("a, defaults", "blind", 1.0, 806),
        of("b", "most", 2.0, 700),
        of("b", "least", 1.0, 600),
    )
    found = strongest(replace(made, lines=(*made.lines[:2], *several)))
    assert [one.name for one in found] == ["equal", "most"]


def test_without_baselines_nothing_is_said() -> None:
    made = report()
    assert conclusions(replace(made, lines=made.lines[:2])) == ""
