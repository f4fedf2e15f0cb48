"""The time of each kernel inside real calls of an artifact.

Calls of the artifact's stamped function (`lprnet/compiler/stamps.py`) and of its ordinary one are
timed interleaved. The faster half of the stamped calls is averaged: these means add up to the mean
of the whole calls, and interrupts do not count.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lprnet.measure.timing import interleaved_timings, on_one_core
from lprnet.runtime.artifact import read_artifact
from lprnet.runtime.manifest import PADDING
from lprnet.runtime.recognizer import Recognizer
from lprnet.runtime.stamped_recognizer import StampedRecognizer
from lprnet.support.file_names import printable

CALLS = 1000
WARM_UP = 50


@dataclass(frozen=True)
class StepTime:
    """One step of the faster half of the calls, microseconds."""

    step: str
    mean_us: float
    min_us: float


@dataclass(frozen=True)
class KernelProfile:
    """Where the time of a call with one image goes, on one thread."""

    artifact: str
    target: str
    """Of the code that this CPU runs."""
    calls: int
    kernels: tuple[StepTime, ...]
    """In the order of execution; a kernel that is called twice is there twice."""
    zeros_us: float
    """Zeros around padded tensors."""
    dispatch_us: float
    """In the artifact, before and after its code: arguments are checked."""
    python_us: float
    """Outside the artifact: the image copied in, the call, the logits copied out."""
    call_us: float
    """A whole stamped call from Python: the sum of all of the above."""
    unstamped_us: float
    """A call of the function without stamps, the mean of the faster half."""

    @property
    def kernels_us(self) -> float:
        """All kernels."""
        return sum(kernel.mean_us for kernel in self.kernels)

    def as_json(self) -> dict[str, Any]:
        """The profile as plain JSON values, with `kernels_us`."""
        return {**asdict(self), "kernels_us": self.kernels_us}

    def as_text(self) -> str:
        """A table of at most 80 columns: microseconds, their least, their share of the call."""
        rows = [
            (kernel.mean_us, f"{kernel.min_us:.1f}", kernel.step) for kernel in self.kernels
        ] + [
            (self.kernels_us, "", "all kernels"),
            (self.zeros_us, "", "zeros around padded tensors"),
            (self.dispatch_us, "", "dispatch: arguments are checked"),
            (self.python_us, "", "Python: the image in, the logits out"),
            (self.call_us, "", "the whole call"),
            (self.unstamped_us, "", "the whole call, without stamps"),
        ]
        lines = [
            printable(self.artifact),
            f"  {self.target} code, one image a call, one thread, the faster half of {self.calls} "
            "calls",
            "",
            "  mean us   min us   share",
        ]
        lines += [
            f"  {mean:7.1f}  {least:>7}  {mean / self.call_us:6.1%}  {what}"
            for mean, least, what in rows
        ]
        return "\n".join(lines)


def profile(path: Path, calls: int = CALLS) -> KernelProfile:
    """Time `calls` calls of the artifact at `path`, on an image of noise.

    Raises `UserError` for an artifact that was not built with `lprnet build --profile`.
    """
    artifact = read_artifact(path)
    plain, stamped = Recognizer(artifact), StampedRecognizer(artifact)
    image = np.random.default_rng(0).integers(0, 256, (1, *artifact.manifest.image.shape), np.uint8)
    rows: list[NDArray[np.int64]] = []
    clock: list[int] = []

    def stamped_call() -> None:
        stamped.logits(image)

    def keep_stamps() -> None:
        rows.append(stamped.stamps())
        clock.append(time.perf_counter_ns())

    with on_one_core():
        samples = interleaved_timings(
            {"stamped": stamped_call, "plain": lambda: plain.logits(image)},
            calls,
            WARM_UP,
            keep_stamps,
        )
    stamps = np.array(rows[WARM_UP:])
    ticks_per_us = 1e3 * (rows[-1][-1] - rows[0][-1]) / (clock[-1] - clock[0])
    steps = np.diff(stamps) / ticks_per_us
    whole = samples["stamped"] * 1e3
    return summary(
        str(path),
        stamped.target_version.target,
        stamped.target_version.steps,
        steps,
        whole,
        samples["plain"] * 1e3,
    )


def summary(
    artifact: str,
    target: str,
    names: tuple[str, ...],
    steps: NDArray[np.float64],
    whole: NDArray[np.float64],
    plain: NDArray[np.float64],
) -> KernelProfile:
    """Of calls that took `whole` microseconds, `(calls,)`; `steps` `(calls, 1 + len(names) + 1)` of
    these in the artifact before the first step, in each step and behind the last one; and calls
    without stamps that took `plain`.
    """
    faster = np.argsort(whole)[: (len(whole) + 1) // 2]
    mean, least = steps[faster].mean(axis=0), steps.min(axis=0)
    inside = zip(names, mean[1:-1].tolist(), least[1:-1].tolist(), strict=True)
    times = [StepTime(*one) for one in inside]
    call = float(whole[faster].mean())
    return KernelProfile(
        artifact=artifact,
        target=target,
        calls=len(whole),
        kernels=tuple(one for one in times if not one.step.startswith(PADDING)),
        zeros_us=sum(one.mean_us for one in times if one.step.startswith(PADDING)),
        dispatch_us=float(mean[0] + mean[-1]),
        python_us=call - float(mean.sum()),
        call_us=call,
        unstamped_us=float(np.sort(plain)[: (len(plain) + 1) // 2].mean()),
    )
