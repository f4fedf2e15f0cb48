"""The report as text: tables for a terminal, Markdown for the README and the results page."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.table import Table

from lprnet.reports.benchmark.engines import GRAPHS
from lprnet.reports.benchmark.results import Line, Report, best, write_bytes
from lprnet.support.errors import UserError

SUMMARY = ("<!-- summary:begin -->", "<!-- summary:end -->")
RESULTS = ("<!-- results:begin -->", "<!-- results:end -->")
"""Markers of the README and of the page of all results."""
SUMMARY_COLUMNS = ("", "accuracy %", "unseen %", "min ms", "x ours", "plates/s", "file KB")
COLUMNS = (
    "",
    "accuracy %",
    "unseen %",
    "min ms",
    "median",
    "p95",
    "x ours",
    "plates/s",
    "file KB",
    "start s",
    "RAM MB",
    "install MB",
)


def cells(line: Line, report: Report) -> tuple[str, ...]:
    """A line in the order of `COLUMNS`; KB and MB are decimal."""
    accuracy, latency = line.latency.accuracy, line.latency
    assert accuracy is not None
    return (
        line.name if line.ours else line.name + GRAPHS[line.graph],
        f"{100 * accuracy.correct / accuracy.total:.1f}",
        f"{100 * line.unseen.correct / line.unseen.total:.1f}" if line.unseen.total else "",
        f"{latency.min_ms:.3f}",
        f"{latency.median_ms:.3f}",
        f"{latency.p95_ms:.3f}",
        f"{latency.min_ms / best(report.lines).latency.min_ms:.1f}",
        f"{line.throughput.plates_per_second:,.0f}",
        f"{line.file_bytes / 1e3:,.0f}",
        f"{line.start.seconds:.2f}",
        f"{line.start.resident_bytes / 1e6:,.0f}",
        f"{line.installed_bytes / 1e6:,.0f}",
    )


def terminal(report: Report) -> list[Table]:
    """What was measured, and what could not be built."""
    table = Table(*COLUMNS, title=conditions(report))
    for line in report.lines:
        table.add_row(*cells(line, report), style="bold" if line.ours else "")
    if not report.missing:
        return [table]
    absent = Table("not in the table", "why")
    for one in report.missing:
        absent.add_row(one.name, one.reason)
    return [table, absent]


def conditions(report: Report) -> str:
    """Where and on what, in one sentence."""
    latency = report.lines[0].latency
    return (
        f"{report.checkpoint}, {report.data}, one at a time; {latency.cpu}, {report.cores} cores, "
        f"{latency.isa} code, commit {latency.commit}, {report.date}; latency on one pinned core, "
        f"{latency.repeats} rounds in turns; minima repeat within {report.noise:.0%}"
    )


def findings(report: Report) -> list[str]:
    """Where a rival wins or is at a disadvantage, and what the numbers do not say."""
    ours, rivals = ([x for x in report.lines if x.ours is who] for who in (True, False))
    columns: tuple[tuple[str, Callable[[Line], float]], ...] = (
        ("reads more plates than any of ours", lambda x: -_correct(x)),
        ("has lower latency than any of ours", lambda x: x.latency.min_ms),
        ("reads more plates a second than any of ours", lambda x: -x.throughput.plates_per_second),
        ("has a smaller file than any of ours", lambda x: x.file_bytes),
        ("starts sooner than any of ours", lambda x: x.start.seconds),
        ("needs less memory than any of ours", lambda x: x.start.resident_bytes),
        ("installs less than any of ours", lambda x: x.installed_bytes),
    )
    wins = [
        f"{cells(rival, report)[0]} {what}."
        for what, cost in columns
        for rival in rivals
        if cost(rival) < min(cost(line) for line in ours)
    ]
    if rivals and not wins:
        wins = ["No rival is ahead of our best line in any column."]
    twins = [
        f"{line.name} is, byte for byte, the artifact of {line.same_as}: nothing it tried was "
        "faster as a whole."
        for line in ours
        if line.same_as
    ]
    return [*twins, *wins, *_in_proportion(report), *(REMARKS if rivals else REMARKS[-2:])]


def _in_proportion(report: Report) -> list[str]:
    """What of the arithmetic that structured pruning saves shows as time, in both measurements."""
    two = report.proportion
    if two is None or two.saved <= 0:
        return []
    times = {line.name: line.latency.min_ms for line in report.lines}
    alone = two.share(two.whole_ms, two.pruned_ms)
    in_turns = two.share(times[two.whole], times[two.pruned])
    return [
        f"{two.pruned} has {two.saved:.0%} fewer multiply-accumulates than {two.whole}; of that, "
        f"{alone:.0%} shows as time where only these two take turns ({two.pruned_ms:.3f} against "
        f"{two.whole_ms:.3f} ms), {in_turns:.0%} in the turns of the table, from colder caches."
    ]


def _correct(line: Line) -> int:
    assert line.latency.accuracy is not None
    return line.latency.accuracy.correct


REMARKS = (
    "Rivals get normalised float32 tensors whose making is not timed; ours start from uint8 pixels "
    "and normalise in the timed call.",
    "Every engine is called from Python, and what that costs is in its times.",
    "Rivals' int8 is ONNX Runtime's static QDQ quantization, for OpenVINO too, and, as `our "
    "integers`, our quantized network exported as QDQ ONNX; NNCF, OpenVINO's own quantizer, was "
    "not tried, nor were its bfloat16 and AMX paths.",
    "`our graph` is the network with dead channels removed and the context norm calibrated: that "
    "part of the gain is not the compiler's kernels, and every engine can have it.",
    "Taking turns, in an order of its own each round, leaves a call with caches that the others "
    "have filled; alone, every engine is somewhat faster.",
    "Another CPU, and above all one without VNNI, orders the integer lines differently.",
)


def summary(report: Report) -> str:
    """The README's first table: our builds by default schedules; rivals as users have them."""
    lines = [
        line
        for line in report.lines
        if (not line.name.startswith("MLC") if line.ours else line.graph == "original")
    ]
    return "\n".join([*_rows(lines, report, SUMMARY_COLUMNS), "", f"{conditions(report)}."])


def markdown(report: Report) -> str:
    """The page of results: every line, what is absent, what the numbers do not say."""
    text = [*_rows(report.lines, report, COLUMNS), ""]
    text += [f"- Not in the table: {one.name}: {one.reason}" for one in report.missing]
    text += [f"- {sentence}" for sentence in findings(report)]
    return "\n".join(text)


def _rows(lines: Sequence[Line], report: Report, columns: Sequence[str]) -> list[str]:
    """A Markdown table of `lines`, our fastest one bold."""
    rows = ["| " + " | ".join(columns) + " |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    for line in lines:
        named = dict(zip(COLUMNS, cells(line, report), strict=True))
        values = [named[column] for column in columns]
        values[0] = f"**{values[0]}**" if line is best(report.lines) else values[0]
        rows.append("| " + " | ".join(values) + " |")
    return rows


def update_pages(report: Report, project: Path) -> None:
    """Put `summary` into `README.md` and `markdown` into `docs/results.md`, between their markers.

    Raises `UserError` where a page lacks them; then none is changed.
    """
    pages = {
        project / "README.md": (SUMMARY, summary(report)),
        project / "docs" / "results.md": (RESULTS, markdown(report)),
    }
    texts = {page: _between(page, *place, content) for page, (place, content) in pages.items()}
    for page, text in texts.items():
        write_bytes(page, text.encode())


def _between(page: Path, begin: str, end: str, content: str) -> str:
    """The text of `page` with `content` between the lines `begin` and `end`."""
    before, opening, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closing, after = rest.partition(end)
    if not (opening and closing):
        raise UserError(f"{page} lacks the lines {begin} and {end}; put them back")
    return f"{before}{begin}\n{content}\n{end}{after}"
