"""A comparison of schedules as tables, sentences, a picture and JSON."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from rich.table import Column, Table

from lprnet.reports.schedule_comparison.compare import Comparison, KernelTimes
from lprnet.support.atomic_file import atomic_write
from lprnet.support.palette import AMBER, BLUE, GREEN

COLOURS = {"auto": AMBER, "manual": BLUE, "hybrid": GREEN}


def tables(comparison: Comparison) -> list[Table]:
    """Kernels with their times, then the four builds end to end."""
    of_int16 = ["% of vpmaddwd"] if any(kernel.integer for kernel in comparison.kernels) else []
    kernels = Table(
        Column("kernel", no_wrap=True),
        *("auto", "manual", "hybrid", "manual/auto", "% of peak", *of_int16, "none", "MMAC"),
        title=f"{comparison.target} {comparison.variant}: µs a call, minima; "
        f"one core's peak is {_peaks(comparison)}",
    )
    for kernel in comparison.kernels:
        macs, seconds = kernel.task.workload.macs, kernel.seconds
        kernels.add_row(
            kernel.task.kernel,
            *(f"{1e6 * seconds[origin]:.1f}" for origin in ("auto", "manual", "hybrid")),
            f"{seconds['manual'] / seconds['auto']:.2f}",
            f"{100 * comparison.share(kernel, 'hybrid'):.0f}" if macs else "",
            *(_percent(comparison.share_of_int16_peak(kernel, "hybrid")) for _ in of_int16),
            f"{1e6 * seconds['none']:.1f}",
            f"{macs / 1e6:.2f}" if macs else "",
        )
    totals = Table("schedules", "min ms", "median", "p95", title="end to end, one thread, batch 1")
    for record in comparison.end_to_end:
        times = (record.min_ms, record.median_ms, record.p95_ms)
        totals.add_row(record.engine, *(f"{time:.3f}" for time in times))
    return [kernels, totals]


def describe(comparison: Comparison) -> list[str]:
    """A sentence a kernel: how the automatic schedule differs, and how fast it is."""
    return [_sentence(kernel) for kernel in comparison.kernels]


def _sentence(kernel: KernelTimes) -> str:
    ratio = kernel.seconds["manual"] / kernel.seconds["auto"]
    faster, slower = f"{ratio:.2f} times as fast as manual", f"{1 / ratio:.2f} times slower"
    speed = faster if ratio >= 1 else slower
    what = ", ".join(kernel.differences) or "does the same as the manual schedule"
    return f"{kernel.task.kernel}: auto {what}; {speed}."


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Everything measured, as plain JSON values; seconds, GFLOP/s."""
    return {
        "variant": comparison.variant,
        "target": comparison.target,
        "tuned_for": comparison.tuned_for,
        "peak_gflops": comparison.peak_gflops,
        "integer_peak_gops": comparison.int8_peak_gops,
        "word_peak_gops": comparison.int16_peak_gops,
        "kernels": [
            {
                "kernel": kernel.task.kernel,
                "calls": kernel.task.calls,
                "macs": kernel.task.workload.macs,
                "seconds": kernel.seconds,
                "arithmetic": "bytes" if kernel.integer else "float32",
                "share_of_peak": {
                    origin: comparison.share(kernel, origin) for origin in kernel.seconds
                },
                "share_of_word_peak": {
                    origin: comparison.share_of_int16_peak(kernel, origin)
                    for origin in kernel.seconds
                },
                "lesson": _sentence(kernel),
            }
            for kernel in comparison.kernels
        ],
        "records": [
            record.as_json() for record in (*comparison.end_to_end, *comparison.kernel_records)
        ],
    }


def plot_shares(comparison: Comparison, picture: Path) -> None:
    """Draw each convolution's share of the peak, by schedule, as PNG, SVG or PDF."""
    matplotlib.use("Agg")
    kernels = [kernel for kernel in comparison.kernels if kernel.task.workload.macs]
    rows = np.arange(len(kernels))
    figure = Figure(figsize=(9, 1.5 + 0.45 * len(kernels)), layout="constrained")
    axes = figure.add_subplot()
    for index, (origin, colour) in enumerate(COLOURS.items()):
        shares = [100 * comparison.share(kernel, origin) for kernel in kernels]
        axes.barh(rows + 0.27 * (index - 1), shares, 0.25, color=colour, label=origin)
    axes.axvline(100, color="black", linewidth=0.8)
    axes.set_yticks(
        rows, [f"{k.task.kernel} ({k.task.workload.macs / 1e6:.1f} MMAC)" for k in kernels]
    )
    axes.invert_yaxis()
    axes.set_xlabel(f"% of one core's {_peaks(comparison)}")
    axes.set_title(f"{comparison.target} {comparison.variant}")
    axes.legend(loc="lower right")
    with atomic_write(picture) as partial:
        figure.savefig(partial, dpi=120, format=picture.suffix[1:])


def _peaks(comparison: Comparison) -> str:
    """The peaks that the shares are of."""
    gflops = f"{comparison.peak_gflops:.0f} GFLOP/s in float32"
    if not any(kernel.integer for kernel in comparison.kernels):
        return gflops
    int16 = f"{comparison.int16_peak_gops:.0f} in int16 (vpmaddwd)"
    return f"{gflops}, {comparison.int8_peak_gops:.0f} GOP/s in int8, {int16}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f}"
