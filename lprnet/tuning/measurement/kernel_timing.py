"""Checks a kernel's result and times it, in the same way on this machine and over RPC."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray

from lprnet.compiler.codegen import generate
from schedules.winograd.cook_toom import FILTERS

ENTRY = "main"
BATCH_SECONDS = 1e-3
"""Duration of one timed batch of calls: long against the clock's resolution, short against the
scheduler's time slices, so that some batches run undisturbed on a shared machine.
"""
BATCHES = 20
BUDGET_SECONDS = 0.1
"""Of all batches. Slow kernels get fewer batches, at least `MIN_BATCHES`."""
MIN_BATCHES = 3
PACKED_INTEGERS = 6
"""Axes of an integer convolution's packed weights."""
TOLERANCE = 1e-4
"""Relative to the largest expected value; float sums in another order differ by some 1e-6 of it."""


class WrongResult(Exception):
    """A kernel computes something other than its unscheduled definition."""


@dataclass(frozen=True)
class Example:
    """Inputs of a kernel and the output of its unscheduled definition for them."""

    inputs: tuple[NDArray[Any], ...]
    expected: NDArray[Any]

    def save(self, path: Path) -> None:
        """Write as `.npz`."""
        np.savez(path, *self.inputs, expected=self.expected)


def load_example(path: Path) -> Example:
    """Read what `Example.save` wrote."""
    with np.load(path) as arrays:
        inputs = tuple(arrays[f"arr_{index}"] for index in range(len(arrays.files) - 1))
        return Example(inputs, arrays["expected"])


def random_inputs(function: tvm.tirx.PrimFunc, seed: int = 0) -> tuple[NDArray[Any], ...]:
    """Values for all parameters of `function` but the last, its output.

    uint8 has 7 bits, with which no instruction saturates; other integers are in +-127. Floats are
    in (-1, 1), or in +-0.001 if the kernel has int8 weights, so that requantized sums use their
    whole range. What pads an integer convolution to whole vectors of channels is zero, as it is in
    networks: schedules by hand leave it out. Filters of three taps are as Winograd's algorithm
    needs them, whether or not a schedule is its.
    """
    generator = np.random.default_rng(seed)
    *parameters, _ = function.params
    limit = 1e-3 if any(str(buffer.dtype) == "int8" for buffer in parameters) else 1.0
    inputs = []
    for buffer in parameters:
        shape, dtype = [int(extent) for extent in buffer.shape], str(buffer.dtype)
        if dtype.startswith("float"):
            inputs.append(generator.uniform(-limit, limit, shape).astype(dtype))
        else:
            low, high = (0, 128) if dtype == "uint8" else (-127, 128)
            inputs.append(generator.integers(low, high, shape).astype(dtype))
    if "out_channels" in function.attrs and len(inputs[1].shape) == PACKED_INTEGERS:
        _make_even(inputs[1])
        for array in inputs[1:]:
            _clear_padding(array, int(function.attrs["out_channels"]))
    return tuple(inputs)


def _make_even(packed: NDArray[Any]) -> None:
    """Of filters of three taps, which `packed` has on its second and third axis, make the sum even
    and small enough that half of it is a byte.
    """
    if packed.shape[1:3] in FILTERS:
        packed //= 2
        packed[:, -1, -1] -= packed.sum(axis=(1, 2), dtype=packed.dtype) % 2


def _clear_padding(array: NDArray[Any], channels: int) -> None:
    """Zero what `array` has for channels from `channels` on: a bias or a multiplier `(O,)`, or
    packed weights `(blocks, height, width, inputs / 4, block, 4)`.
    """
    if array.ndim == 1:
        array[channels:] = 0
        return
    blocks, *_, block, _ = array.shape
    of = np.arange(blocks * block).reshape(blocks, block)
    array *= (of < channels).astype(array.dtype)[:, None, None, None, :, None]


def run_kernel(library: Any, device: Any, inputs: tuple[NDArray[Any], ...], out: Any) -> Any:
    """Call `library`'s kernel once on `device`; returns all its tensors, the output last."""
    tensors = [tvm.runtime.tensor(array, device) for array in (*inputs, out)]
    library[ENTRY](*tensors)
    return tensors


def time_kernel(library: Any, device: Any, example: Example) -> float:
    """Seconds of one call of `library`'s kernel: the minimum of many batches, after a warm-up.

    Raises `WrongResult` if its output differs from `example`'s.
    """
    blank = np.full_like(example.expected, -1 if example.expected.dtype != np.uint8 else 255)
    tensors = run_kernel(library, device, example.inputs, blank)
    check(tensors[-1].numpy(), example.expected)

    def times(calls: int, batches: int) -> NDArray[np.float64]:
        evaluator = library.time_evaluator(ENTRY, device, number=calls, repeat=batches)
        return np.array(evaluator(*tensors).results)

    estimate = times(1, MIN_BATCHES).min()
    calls = max(1, int(BATCH_SECONDS / estimate))
    batches = int(np.clip(BUDGET_SECONDS / (calls * estimate), MIN_BATCHES, BATCHES))
    return float(min(estimate, times(calls, batches).min()))


def check(found: NDArray[Any], expected: NDArray[Any]) -> None:
    """Raise `WrongResult` unless integers are equal, and floats within `TOLERANCE`."""
    if expected.dtype.kind == "f":
        limit = TOLERANCE * float(np.abs(expected).max())
        error = float(np.abs(found - expected).max(initial=0.0))
    else:
        limit = 0.0
        error = float(np.abs(found.astype("int64") - expected.astype("int64")).max(initial=0))
    if not error <= limit:
        raise WrongResult(f"differs from the unscheduled kernel by up to {error:.3g}")


def write_example(module: tvm.IRModule, path: Path) -> tuple[NDArray[Any], ...]:
    """Write random inputs of an unscheduled kernel and its output to `path`; returns the inputs."""
    function = module["main"]
    # For any x86-64: this machine may not be the one that measures.
    library = generate(module, tvm.target.Target({"kind": "llvm", "num-cores": 1}))
    *_, out = function.params
    blank = np.zeros([int(extent) for extent in out.shape], str(out.dtype))
    inputs = random_inputs(function)
    expected = run_kernel(library.jit(), tvm.cpu(), inputs, blank)[-1].numpy()
    Example(inputs, expected).save(path)
    return inputs
