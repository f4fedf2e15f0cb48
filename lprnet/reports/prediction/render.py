"""Predictions as a JSON file and as Markdown tables."""

import dataclasses
import json
from pathlib import Path

from lprnet.reports.markdown import markdown_table
from lprnet.reports.prediction.results import FMAS_A_CYCLE, Estimate, KernelEstimate, Prediction
from lprnet.support.atomic_file import atomic_write

GHZ = 2.5
"""Clock that turns cycles into time, about what these CPUs sustain with wide vectors."""


def write(prediction: Prediction, folder: Path) -> None:
    """Write `xeon-predicted.json` and `.md` in `folder`. Raises `UserError` if it cannot."""
    text = json.dumps(dataclasses.asdict(prediction), indent=1) + "\n"
    for name, content in (("json", text), ("md", markdown(prediction))):
        with atomic_write(folder / f"xeon-predicted.{name}") as partial:
            partial.write_text(content, encoding="utf-8")


def markdown(prediction: Prediction) -> str:
    """A table of all CPUs, then one of the main convolutions for each modelled core."""
    head = f"""\
# Predicted speed on Xeons: an estimate

Made by `lprnet predict`, which overwrites it. Nothing was measured on the CPUs in the
table. llvm-mca ({prediction.mca}) gives the cycles of each basic block of the generated code on its
model of a core; running the code with counters gives how often each block runs. The model has no
caches, no branch predictor and no instruction fetch, so the estimate assumes that the core never
waits for them. Ice Lake and Sapphire Rapids are modelled by Cascade Lake's core, because LLVM gives
them one unit for 512-bit FMAs as in client parts; they run the portable artifact's VNNI code,
without AMX.

"Measured" is the same code on the machine that made this file, an {prediction.host}:
each kernel's fastest call, in cycles of a clock derived from a throughput of {FMAS_A_CYCLE} FMAs a
cycle. It validates the rows of that machine's own target; the code of other targets is modelled for
another core. "A plate" is all kernels at {GHZ} GHz; a call from Python costs some microseconds
more.

"""
    columns = (
        *("variant", "CPU", "target", "a plate, ms", "kernels, kcycles"),
        *("measured, kcycles", "ratio", "measured clock, GHz"),
    )
    table = markdown_table(columns, [_row(estimate) for estimate in prediction.estimates])
    details = "".join(_main_convolutions(one) for one in prediction.estimates)
    return f"{head}{table}\n{details}"


def _row(one: Estimate) -> tuple[str, ...]:
    milliseconds = one.cycles / GHZ / 1e6
    return (
        one.variant,
        one.cpu,
        one.target,
        f"{milliseconds:.2f}",
        f"{one.cycles / 1e3:.0f}",
        f"{one.measured / 1e3:.0f}",
        f"{one.cycles / one.measured:.2f}",
        f"{one.host_ghz:.2f}",
    )


def _main_convolutions(one: Estimate) -> str:
    if one.cpu != one.model:
        return ""
    head = f"\n## {one.variant}, {one.cpu}\n\n"
    head += f"Peak: {one.peak:.2f} multiplying vector instructions a cycle.\n\n"
    columns = (
        *("convolution", "calls", "MMAC", "cycles an iteration", "multiplies in it", "limit"),
        *("share of peak: loop", "whole kernel", "cycles", "measured"),
    )
    rows = [_kernel_row(kernel) for kernel in one.kernels if kernel.is_main]
    return f"{head}{markdown_table(columns, rows)}\n"


def _kernel_row(kernel: KernelEstimate) -> tuple[str, ...]:
    assert kernel.loop is not None
    return (
        kernel.kernel,
        f"{kernel.calls}",
        f"{kernel.macs / 1e6:.2f}",
        f"{kernel.loop.cycles:.1f}",
        f"{kernel.loop.products}",
        kernel.loop.limit,
        f"{kernel.loop.share:.0%}",
        f"{kernel.share:.0%}",
        f"{kernel.cycles:.0f}",
        f"{kernel.measured:.0f}",
    )
