"""Run the code of `tutorial.md`, check each step against NumPy, and write loops and speeds into it.

python docs/tutorial.py        # measures on this machine and rewrites the page
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import s_tir

from lprnet.compiler.codegen import generate, tvm_target
from lprnet.compiler.targets import find_target
from lprnet.measure.peak_throughput import fma_loop, operations
from lprnet.measure.timing import interleaved_timings, on_one_core

PAGE = Path(__file__).with_name("tutorial.md")
TARGET = find_target("broadwell")
"""The loops that the page shows are those of AVX2; every machine that runs the project has it."""
ROUNDS = 300
_DECLARATION = re.compile(r"\s*T\.(reads|writes)\(")
"""What a block touches; it follows from its body."""


@dataclass(frozen=True)
class Step:
    """One step of the page."""

    name: str
    loops: str
    """The body of the scheduled function as TVMScript."""
    function: tvm.IRModule
    arguments: tuple[NDArray[np.float32], ...]
    """Data, weights, bias, and room for the result."""
    work: int
    """Multiplications and additions."""


def expected(
    image: NDArray[np.float32], filters: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float64]:
    """The convolution in float64, tap by tap: `(height, width, channels)`."""
    taps = filters.shape[2]
    height = image.shape[0] - taps + 1
    kernels = filters[..., 0].astype(np.float64)
    products = [image[tap : tap + height] @ kernels[:, :, tap].T for tap in range(taps)]
    result: NDArray[np.float64] = np.maximum(sum(products) + bias, 0)
    return result


def run_page(page: str) -> list[Step]:
    """Run the Python blocks of `page` in order, in one namespace, and return its steps.

    Raises `AssertionError` where a step does not compute the convolution.
    """
    steps: list[Step] = []

    def check(name: str, sch: s_tir.Schedule, weight: NDArray[np.float32]) -> None:
        target = expected(scope["image"], scope["filters"], scope["bias"])
        room: NDArray[np.float32] = np.zeros(target.shape, np.float32)
        arguments = (scope["image"], weight, scope["bias"], room)
        work = 2 * room.size * weight.size // len(scope["bias"])
        step = Step(name, _loops(sch), sch.mod, arguments, work)
        kernel = _Kernel(step.function, step.arguments)
        kernel.call()
        error = np.abs(kernel.result() - target).max() / np.abs(target).max()
        assert error < 1e-5, f"{name}: off by {error:.1e} of the largest value"
        steps.append(step)

    scope: dict[str, Any] = {"check": check, "ISA": TARGET.isa}
    for block in python_blocks(page):
        exec(compile(block, str(PAGE), "exec"), scope)
    return steps


def python_blocks(page: str) -> Iterator[str]:
    """The Python blocks of a Markdown page, in order."""
    return iter(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))


class _Kernel:
    """A compiled step with its arguments in place."""

    def __init__(self, module: tvm.IRModule, arguments: tuple[NDArray[np.float32], ...]) -> None:
        self._run = generate(module, tvm_target(TARGET))["main"]
        self._tensors = [tvm.runtime.tensor(values) for values in arguments]

    def call(self) -> None:
        self._run(*self._tensors)

    def result(self) -> NDArray[np.float32]:
        values: NDArray[np.float32] = self._tensors[-1].numpy()
        return values


def _loops(sch: s_tir.Schedule) -> str:
    """The loops of `sch`, without the declarations around them."""
    lines = sch.mod["main"].script().splitlines()
    first = next(i for i, line in enumerate(lines) if line.lstrip().startswith("for "))
    body = "\n".join(line for line in lines[first:] if not _DECLARATION.match(line))
    return textwrap.dedent(body).rstrip()


def fill_in(page: str, steps: list[Step], speeds: dict[str, float] | None) -> str:
    """`page` with the loops of `steps`, and where they are given, `speeds` in GFLOP/s."""
    for step in steps:
        speed = _speed_of(page, step.name) if speeds is None else f"{speeds[step.name]:.1f} GFLOP/s"
        text = f"**{speed}**\n\n```text\n{step.loops}\n```\n"
        page = _between(page, f"step {step.name}", text)
    if speeds is None:
        return page
    peak = speeds["peak"]
    rows = [f"| {name} | {speed:.1f} | {speed / peak:.0%} |" for name, speed in speeds.items()]
    table = "\n".join(["| step | GFLOP/s | of the peak |", "|---|---:|---:|", *rows, ""])
    return _between(page, "table", table)


def _speed_of(page: str, name: str) -> str:
    found = re.search(rf"<!-- step {name} -->\n\*\*(.*?)\*\*", page)
    return found.group(1) if found else "not measured yet"


def _between(page: str, mark: str, text: str) -> str:
    pattern = rf"(<!-- {mark} -->\n).*?(<!-- end -->)"
    filled, count = re.subn(pattern, lambda m: f"{m[1]}{text}{m[2]}", page, flags=re.DOTALL)
    assert count == 1, f"the page has no place for {mark}"
    return filled


def measure(steps: list[Step]) -> dict[str, float]:
    """GFLOP/s of each step and, as `peak`, of FMAs on registers alone, all in turns."""
    peak = fma_loop(TARGET.isa)
    factors, out = (np.zeros([int(n) for n in p.shape], np.float32) for p in peak["main"].params)
    kernels = {step.name: _Kernel(step.function, step.arguments) for step in steps}
    work = {step.name: step.work for step in steps}
    kernels["peak"], work["peak"] = _Kernel(peak, (factors, out)), operations(peak)
    with on_one_core():
        calls = {name: kernel.call for name, kernel in kernels.items()}
        samples = interleaved_timings(calls, ROUNDS)
    return {name: work[name] / samples[name].min() / 1e6 for name in kernels}


def main() -> None:
    """Measure and rewrite the page."""
    page = PAGE.read_text("utf-8")
    steps = run_page(page)
    PAGE.write_text(fill_in(page, steps, measure(steps)), "utf-8")


if __name__ == "__main__":
    main()
