"""Predictions for readers: a JSON file, and tables in Markdown made from it."""

import dataclasses
import json
from pathlib import Path

from lprnet.reports.prediction.predict import FMAS_A_CYCLE, Estimate, KernelEstimate, Prediction
from lprnet.support.atomic_file import replacing

GHZ = 2.5
"""At which cycles are turned into time, about what these CPUs keep up with wide vectors."""


def write(prediction: Prediction, folder: Path) -> None:
    """`xeon-predicted.json` and `.md` in `folder`. Raises `UserError` if they cannot be written."""
    text = json.dumps(dataclasses.asdict(prediction), indent=1) + "\n"
    for name, content in (("json", text), ("md", markdown(prediction))):
        with replacing(folder / f"xeon-predicted.{name}") as partial:
            partial.write_text(content, encoding="utf-8")


def markdown(prediction: Prediction) -> str:
    """A row a CPU, then for each the main convolutions."""
    head = f"""\
# Predicted speed on Xeons: an estimate

Made by `python scripts/predict.py`, which overwrites it. Nothing here was measured on the CPUs it
names. llvm-mca ({prediction.mca}) gives the cycles of each basic block of the generated code on its
model of a core, running the code with counters gives how often each block runs. The model has no
caches, no branch predictor and no fetching of instructions, so this is what is left when those
never wait. Ice Lake and Sapphire Rapids are modelled by Cascade Lake's core, because LLVM gives
them one unit for 512-bit FMAs as in client parts; they run the portable artifact's VNNI code,
without AMX.

"Measured here" is the same code on this machine, an {prediction.host}:
each kernel's fastest call, in cycles of the clock that a throughput of {FMAS_A_CYCLE} FMAs a cycle
tells. It validates the rows of this machine's own code; other codes meet another core here than the
one they are modelled for. "A plate" is all kernels at {GHZ} GHz; a call from Python costs some
microseconds more.

"""
    head += _header(
        *("variant", "CPU", "code", "a plate, ms", "kernels, kcycles"),
        *("measured here, kcycles", "ratio", "clock here, GHz"),
    )
    rows = "".join(_row(estimate) for estimate in prediction.estimates)
    return head + rows + "".join(_main_convolutions(one) for one in prediction.estimates)


def _row(one: Estimate) -> str:
    milliseconds = one.cycles / GHZ / 1e6
    cells = (
        one.variant,
        one.cpu,
        one.code,
        f"{milliseconds:.2f}",
        f"{one.cycles / 1e3:.0f}",
        f"{one.measured / 1e3:.0f}",
        f"{one.cycles / one.measured:.2f}",
        f"{one.host_ghz:.2f}",
    )
    return _cells(*cells)


def _main_convolutions(one: Estimate) -> str:
    if one.cpu != one.model:
        return ""
    head = f"\n## {one.variant}, {one.cpu}\n\n"
    head += f"Peak: {one.peak:.2f} multiplying vector instructions a cycle.\n\n"
    head += _header(
        *("convolution", "calls", "MMAC", "cycles an iteration", "multiplies in it", "limit"),
        *("share of peak: loop", "whole kernel", "cycles", "measured here"),
    )
    return head + "".join(_kernel_row(kernel) for kernel in one.kernels if kernel.is_main)


def _kernel_row(kernel: KernelEstimate) -> str:
    assert kernel.loop is not None
    cells = (
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
    return _cells(*cells)


def _header(*names: str) -> str:
    return _cells(*names) + _cells(*("---" for _ in names))


def _cells(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"
