"""A small invented report, for tests of what is made from one."""

from dataclasses import replace

from lprnet.distillation.text_agreement import TextAgreement
from lprnet.measure.timing import Accuracy, Record
from lprnet.reports.benchmark.costs import ColdStart, Throughput
from lprnet.reports.benchmark.results import Kernel, Kernels, Line, Proportion, Report
from lprnet.reports.benchmark.variants import Missing


def line(name: str, milliseconds: float, *, ours: bool = True, graph: str = "reduced") -> Line:
    """A line whose other columns follow from its latency."""
    latency = Record(
        variant=name,
        engine="lprnet" if ours else "baseline",
        commit="abc1234",
        cpu="A CPU",
        isa="icelake-server",
        threads=1,
        batch=1,
        warm_up=20,
        repeats=200,
        min_ms=milliseconds,
        median_ms=1.1 * milliseconds,
        p95_ms=1.5 * milliseconds,
        accuracy=Accuracy(897, 1000),
    )
    return Line(
        name=name,
        ours=ours,
        graph=graph,
        latency=latency,
        unseen=Accuracy(810, 900),
        throughput=Throughput(2000 / milliseconds, 8),
        start=ColdStart(1.5, 60_000_000),
        file_bytes=180_000,
        installed_bytes=50_000_000,
        agreement=TextAgreement(plates=1000, same=912, right=300, kept=297) if ours else None,
    )


def report() -> Report:
    """Two lines of ours, two of baselines that are behind in every column, one line missing."""
    baseline = replace(line("baseline", 2.0, ours=False), start=ColdStart(2.0, 90_000_000))
    original = replace(line("baseline", 4.0, ours=False, graph="original"), file_bytes=1_800_000)
    seconds = {"none": 1e-3, "manual": 1e-4}
    kernels = (Kernel("conv3x1", 4_000_000, 80_000, seconds), Kernel("pool", 0, 9_000, seconds))
    return Report(
        date="2026-11-22",
        cores=2,
        checkpoint="m.pth",
        data="1000 images",
        repeatability=0.02,
        lines=(line("base", 0.5), line("all combined", 0.25), baseline, original),
        missing=(Missing("pruned | <I>", "no such flag"),),
        sample_reader="all combined",
        sample_texts=("京A12345", "", "IO"),
        kernels=Kernels(1e11, 5e10, kernels),
        proportion=Proportion("base", "all combined", 64_000_000, 24_000_000, 0.4, 0.16),
    )
