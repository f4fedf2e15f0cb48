"""What builds and measures candidates, and whether it can do so at all."""

from pathlib import Path
from typing import Protocol

import tvm
from tvm.s_tir import meta_schedule as ms

from lprnet.support.errors import UserError
from lprnet.tuning.measurement.kernel_timing import write_example
from schedules.workloads.float import AveragePool

CHECKED = AveragePool(1, 1, 8, (2, 2), (2, 2))
"""A kernel that every machine builds and measures within milliseconds, unscheduled."""


class Measurer(Protocol):
    """Builds candidates and measures them: `LocalMeasurer` or `RpcMeasurer`."""

    builder: ms.builder.PyBuilder

    def runner(self, example: Path) -> ms.runner.PyRunner:
        """A runner that checks results with the `Example` in the file `example`."""

    def verify(self) -> None:
        """Raise `UserError` if no machine is left to measure on: its failures are not the
        candidates'.
        """


def check_measurer(measurer: Measurer, target: tvm.target.Target, scratch: Path) -> None:
    """Raise `UserError`, with the reason, if `measurer` cannot measure a kernel that is right.

    `scratch` is a folder for temporary files.
    """
    module = tvm.IRModule({"main": CHECKED.prim_func()})
    example = scratch / "check.npz"
    write_example(module, example)
    (built,) = measurer.builder.build([ms.builder.BuilderInput(module, target)])
    if built.error_msg:
        raise UserError(
            f"No kernel can be built here: {_first_line(built.error_msg)}; check that ld is on the "
            "PATH and that TMPDIR has space, and run the same command again."
        )
    (future,) = measurer.runner(example).run(
        [ms.runner.RunnerInput(built.artifact_path, "cpu", [])]
    )
    measurer.verify()
    result = future.result()
    if result.error_msg:
        raise UserError(
            f"No kernel can be measured: {_first_line(result.error_msg)}; temporary files are in "
            f"{Path(str(built.artifact_path)).parent.parent}, so set TMPDIR to a folder from which "
            "programs can be run, and run the same command again."
        )


def _first_line(message: object) -> str:
    lines = [line.strip() for line in str(message).splitlines() if line.strip()]
    return lines[0].rstrip(".;") if lines else "no reason is given"
