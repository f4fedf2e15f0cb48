"""A report as text: tables for a terminal, Markdown for the README and the results page."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from lprnet.reports.benchmark.conclusions import conclusions, strongest
from lprnet.reports.benchmark.engines import GRAPHS
from lprnet.reports.benchmark.results import COSTS, Cost, Line, Report, best, write_bytes
from lprnet.reports.benchmark.variants import SCHEDULE_ROWS
from lprnet.reports.markdown import markdown_table
from lprnet.support.errors import UserError

SUMMARY = ("<!-- summary:begin -->", "<!-- summary:end -->")
RESULTS = ("<!-- results:begin -->", "<!-- results:end -->")
"""Comments around the generated parts of the README and of the results page."""
SUMMARY_COLUMNS = ("", "accuracy %", "unseen %", "min ms", "x ours", "plates/s", "file KB")
COLUMNS = (
    "",
    "accuracy %",
    "unseen %",
    "grammar %",
    "agrees %",
    "min ms",
    "median",
    "p95",
    "x ours",
    "plates/s",
    "file KB",
    "start s",
    "start CPU s",
    "RAM MB",
    "install MB",
)


def cells(line: Line, report: Report) -> tuple[str, ...]:
    """The cells of a line in the order of `COLUMNS`; KB and MB are decimal. Our lines name the code
    that ran where not all ran the same: on a Xeon with AMX integers take its tile registers.
    """
    accuracy, latency = line.latency.accuracy, line.latency
    assert accuracy is not None
    same, grammar, cpu = line.agreement, line.grammar, line.start.cpu_seconds
    code = f" ({latency.isa})" if len(_codes(report)) > 1 else ""
    return (
        line.name + (code if line.ours else GRAPHS[line.graph]),
        f"{100 * accuracy.correct / accuracy.total:.1f}",
        f"{100 * line.unseen.correct / line.unseen.total:.1f}" if line.unseen.total else "",
        f"{100 * grammar.correct / grammar.total:.1f}" if grammar and grammar.total else "",
        f"{100 * same.same / same.plates:.1f}" if same else "",
        f"{latency.min_ms:.3f}",
        f"{latency.median_ms:.3f}",
        f"{latency.p95_ms:.3f}",
        f"{latency.min_ms / best(report.lines).latency.min_ms:.1f}",
        f"{line.throughput.plates_per_second:,.0f}",
        f"{line.file_bytes / 1e3:,.0f}",
        f"{line.start.seconds:.2f}",
        "" if cpu is None else f"{cpu:.2f}",
        f"{line.start.resident_bytes / 1e6:,.0f}",
        f"{line.installed_bytes / 1e6:,.0f}",
    )


def terminal(report: Report) -> list[Table]:
    """A table of the lines, and one of those that could not be built or run."""
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
    """The machine, data and method of the report, in one sentence."""
    latency = report.lines[0].latency
    return (
        f"{report.checkpoint}, {report.data}, one at a time; {latency.cpu}, {report.cores} cores, "
        f"{' and '.join(_codes(report))} code, commit {latency.commit}, {report.date}; "
        "latency on one pinned core, "
        f"{latency.repeats} interleaved rounds; minima repeat within {report.repeatability:.0%}"
    )


def _codes(report: Report) -> list[str]:
    """The targets whose code our lines ran, each once."""
    return list(dict.fromkeys(line.latency.isa for line in report.lines if line.ours))


def findings(report: Report) -> list[str]:
    """Where a baseline is ahead, what pruning saves, and how to read the numbers."""
    ours, baselines = ([x for x in report.lines if x.ours is who] for who in (True, False))
    read = Cost("plates read", "reads more plates", lambda x: -_correct(x))
    wins = [
        f"{cells(baseline, report)[0]} {cost.ahead} than any of ours."
        for cost in (read, *COSTS)
        for baseline in baselines
        if cost.is_ahead(baseline, ours)
    ]
    if baselines and not wins:
        wins = ["No baseline is ahead of our best line in any column."]
    identical = [
        f"{line.name} is, byte for byte, the artifact of {line.same_as}, because no other "
        "schedule was faster as a whole program."
        for line in ours
        if line.same_as
    ]
    return [
        *identical,
        *wins,
        *_saved(report),
        *(REMARKS_ON_BASELINES if baselines else ()),
        *([REMARK_ON_AGREEMENT] if any(line.agreement for line in report.lines) else ()),
        REMARK_ON_WARM_CALLS if _warm(report) else REMARK_ON_COLD_CALLS,
        REMARK_ON_OTHER_CPUS,
    ]


def _warm(report: Report) -> bool:
    """Whether each timed call followed another of the same engine."""
    return report.lines[0].latency.calls_before > 0


def _saved(report: Report) -> list[str]:
    """How much of the arithmetic that structured pruning removes shows as latency."""
    two = report.proportion
    if two is None or two.saved <= 0:
        return []
    times = {line.name: line.latency.min_ms for line in report.lines}
    alone = two.share(two.whole_ms, two.pruned_ms)
    together = two.share(times[two.whole], times[two.pruned])
    return [
        f"{two.pruned} has {two.saved:.0%} fewer multiply-accumulates than {two.whole}; of that, "
        f"{alone:.0%} shows as time when only these two are timed ({two.pruned_ms:.3f} against "
        f"{two.whole_ms:.3f} ms), {together:.0%} in the table's rounds"
        f"{'' if _warm(report) else ', from colder caches'}."
    ]


def _correct(line: Line) -> int:
    assert line.latency.accuracy is not None
    return line.latency.accuracy.correct


REMARKS_ON_BASELINES = (
    "Baselines get normalised float32 tensors, and making these is not timed; our artifacts start "
    "from uint8 pixels and normalise in the timed call.",
    "Every engine is called from Python, and its times include that.",
    "`our integers` is our quantized network as QDQ ONNX. The other int8 of baselines is ONNX "
    "Runtime's static quantization, or NNCF's, OpenVINO's own, where the name says so; all of it "
    "is calibrated on the images that ours is calibrated on. Lines named fp32 compute in float32.",
    "`our graph` is the network with dead channels removed and the context norm calibrated: that "
    "part of the gain is not the compiler's kernels, and every engine can have it.",
)
REMARK_ON_AGREEMENT = (
    "`agrees %` is how many of 1,000 fresh rendered plates, which nothing was trained or "
    "calibrated on, are read as our float32 line reads them, wrong or right."
)
REMARK_ON_WARM_CALLS = (
    "Rounds are shuffled and interleaved. Right before each timed call the same engine makes one "
    "that is not timed, so it finds the caches as in a loop over images."
)
REMARK_ON_COLD_CALLS = (
    "Rounds are shuffled and interleaved, so each call finds caches that the other entries have "
    "filled; alone, every engine is somewhat faster."
)
REMARK_ON_OTHER_CPUS = (
    "On another CPU, above all one without VNNI, the integer lines are in another order."
)


def summary(report: Report) -> str:
    """The README's first table: our builds without the comparison of schedules, and the strongest
    line of each other engine.
    """
    ours = [line for line in report.lines if line.ours and line.name not in SCHEDULE_ROWS]
    lines = [*ours, *strongest(report)]
    return f"{_table(lines, report, SUMMARY_COLUMNS)}\n\n{conditions(report)}."


def markdown(report: Report) -> str:
    """The page of results: every line, what is missing, and the findings."""
    first = conclusions(report)
    text = [first, ""] if first else []
    text += [_table(report.lines, report, COLUMNS), ""]
    text += [f"- Not in the table: {one.name}: {one.reason}" for one in report.missing]
    text += [f"- {sentence}" for sentence in findings(report)]
    return "\n".join(text)


def _table(lines: Sequence[Line], report: Report, columns: Sequence[str]) -> str:
    """A Markdown table of `lines`, our fastest one bold, without columns that no line fills."""
    named = [dict(zip(COLUMNS, cells(line, report), strict=True)) for line in lines]
    columns = [column for column in columns if any(one[column] for one in named)]
    rows = []
    for line, one in zip(lines, named, strict=True):
        values = [one[column] for column in columns]
        values[0] = f"**{values[0]}**" if line is best(report.lines) else values[0]
        rows.append(values)
    return markdown_table(columns, rows)


def update_pages(report: Report, project: Path) -> None:
    """Put `summary` into `README.md` and `markdown` into `docs/results.md`, between their markers.

    Raises `UserError` if a page lacks its markers; then neither is changed.
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
