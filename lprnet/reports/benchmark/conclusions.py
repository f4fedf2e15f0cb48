"""What a report says in five sentences, where we lose included; each figure is from its record."""

from collections.abc import Sequence

from lprnet.reports.benchmark.engines import GRAPHS
from lprnet.reports.benchmark.results import COSTS, Cost, Line, Report, best

PLATES_FEWER = 3
"""A baseline counts as an equal in the comparisons if it reads at most so many plates fewer."""
READ = Cost("plates read", "reads more plates", lambda x: -x.unseen.correct)


def conclusions(report: Report) -> str:
    """Five sentences, or none without baselines."""
    ours = [line for line in report.lines if line.ours]
    theirs = [line for line in report.lines if not line.ours]
    if not theirs:
        return ""
    first = best(report.lines)
    return " ".join(
        [
            f"Our fastest line, {first.name}, reads {_read(first)} and takes "
            f"{first.latency.min_ms:.3f} ms a plate.",
            _compared("On the checkpoint's own graph", first, theirs, ("original",)),
            _compared("On our graph", first, theirs, ("reduced", "quantized")),
            _compared("On our pruned graph", first, theirs, ("pruned", "pruned, quantized")),
            _lost(ours, theirs),
        ]
    )


def strongest(report: Report) -> list[Line]:
    """Of each engine that is not ours the fastest line that reads at most `PLATES_FEWER` fewer than
    our fastest; where there is none, the one that reads most.
    """
    engines: dict[str, list[Line]] = {}
    for line in report.lines:
        if not line.ours:
            engines.setdefault(line.latency.engine.partition(",")[0], []).append(line)
    enough = best(report.lines).unseen.correct - PLATES_FEWER

    def cost(line: Line) -> tuple[int, float]:
        return max(0, enough - line.unseen.correct), line.latency.min_ms

    return [min(lines, key=cost) for lines in engines.values()]


def _compared(place: str, ours: Line, theirs: Sequence[Line], graphs: tuple[str, ...]) -> str:
    """How much faster `ours` is than the fastest of `theirs` on `graphs` that reads as many."""
    equal = [
        line
        for line in theirs
        if line.graph in graphs and line.unseen.correct >= ours.unseen.correct - PLATES_FEWER
    ]
    if not equal:
        return f"{place} no baseline reads as many, less {PLATES_FEWER}."
    fastest = min(equal, key=lambda line: line.latency.min_ms)
    ratio = ours.latency.min_ms / fastest.latency.min_ms
    return (
        f"{place} the fastest baseline that reads at most {PLATES_FEWER} fewer is "
        f"{fastest.name}{GRAPHS[fastest.graph]} with {fastest.latency.min_ms:.3f} ms and "
        f"{_read(fastest)}: ours takes {ratio:.2f} of its time."
    )


def _lost(ours: Sequence[Line], theirs: Sequence[Line]) -> str:
    """In which columns the best of `theirs` is ahead of all of `ours`."""
    found = []
    for cost in (READ, *COSTS):
        first = min(theirs, key=cost.of)
        if cost.is_ahead(first, ours):
            found.append(f"{cost.what} ({first.name}{GRAPHS[first.graph]})")
    if not found:
        return "We lose in no column."
    return f"We lose in {_list(found)}."


def _read(line: Line) -> str:
    return f"{line.unseen.correct} of the {line.unseen.total} unseen plates"


def _list(parts: Sequence[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
