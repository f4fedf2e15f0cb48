"""Every candidate of the search space is right, fits the registers, and calls no runtime."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import tvm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional as F
from tvm import s_tir

from lprnet.compiler.codegen import generate, tvm_target
from lprnet.compiler.targets import TARGETS, Target
from lprnet.runtime.cpu import cpu_flags
from lprnet.tuning.measurement.intrinsics import import_x86_intrinsics
from lprnet.tuning.measurement.kernel_timing import check, random_inputs, run_kernel
from lprnet.tuning.space.algorithms import Tunable, Winograd, reference_of
from lprnet.tuning.space.sketches import is_tunable, sketches, space_generator
from lprnet.tuning.space.tasks import kernel_module
from schedules.isa import Isa
from schedules.workloads.float import AveragePool, Conv2d, MaxPool
from schedules.workloads.integer import DequantizedAveragePool, QuantizedConv2d
from schedules.workloads.normalisation import Normalise

RUNNABLE = [
    target
    for target in TARGETS
    if target.name in ("broadwell", "cascadelake") and cpu_flags().issuperset(target.flags)
]


def image(values: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(values.astype("float64")).permute(2, 0, 1)[None]


def hwc(tensor: torch.Tensor) -> NDArray[np.float64]:
    return tensor[0].permute(1, 2, 0).numpy()


def reference(algorithm: Tunable, inputs: tuple[NDArray[np.float32], ...]) -> NDArray[np.float64]:
    """By torch, in float64."""
    workload = reference_of(algorithm)
    match workload:
        case Conv2d() | QuantizedConv2d():
            data, weight, bias, *_ = inputs
            if weight.ndim == 6:  # (blocks, KH, KW, C / 4, block, 4)
                weight = weight.transpose(0, 1, 2, 3, 5, 4).reshape(
                    *weight.shape[:3], workload.channels, workload.block
                )
            oihw = weight.transpose(0, 4, 3, 1, 2).reshape(
                -1, workload.channels, workload.kernel_height, workload.kernel_width
            )
            out = F.conv2d(image(data), torch.from_numpy(oihw.astype("float64")))
            out += torch.from_numpy(bias.astype("float64"))[:, None, None]
            if isinstance(workload, QuantizedConv2d):
                scaled = hwc(out).astype("float32").astype("float64") * inputs[3]
                return np.clip(np.rint(scaled), 0, workload.qmax)
            return hwc(F.relu(out) if workload.relu else out)
        case MaxPool():
            x = image(inputs[0]).repeat_interleave(workload.row_repeat, 2)
            return hwc(F.max_pool2d(x, 3, (workload.row_stride, workload.stride)))
        case AveragePool():
            return hwc(F.avg_pool2d(image(inputs[0]), workload.kernel, workload.stride))
        case DequantizedAveragePool():
            mean = hwc(F.avg_pool2d(image(inputs[0]), workload.kernel, workload.stride))
            return mean * workload.scale


def runs_right(workload: Tunable, module: tvm.IRModule, target: Target) -> None:
    inputs = random_inputs(module["main"])
    *_, out = module["main"].params
    blank = np.zeros([int(extent) for extent in out.shape], str(out.dtype))
    library = generate(module, tvm_target(target))
    found = run_kernel(library.jit(), tvm.cpu(), inputs, blank)[-1].numpy()
    check(found, reference(workload, inputs).astype(found.dtype))


def workloads(isa: Isa) -> st.SearchStrategy[Tunable]:
    extents, kernels = st.integers(1, 9), st.integers(1, 4)
    block = st.integers(1, 4).map(lambda vectors: vectors * isa.float_lanes)
    channels = st.sampled_from((isa.float_lanes, 2 * isa.float_lanes, 3 * isa.float_lanes))
    return st.one_of(
        st.builds(
            Conv2d, extents, extents, st.integers(1, 12), kernels, kernels, st.just(7), block
        ),
        st.builds(
            QuantizedConv2d,
            *(extents, extents, st.sampled_from((4, 12)), kernels, kernels),
            *(st.just(7), block, st.sampled_from((127, 255))),
        ),
        st.builds(
            Winograd,
            st.builds(
                Conv2d,
                *(st.sampled_from((6, 12)), extents, channels.map(lambda c: c - 3)),
                *(st.just(3), st.just(1), st.just(7), block),
            ),
            st.sampled_from((2, 3, 6)),
            st.just(isa),
        ).filter(lambda algorithm: bool(algorithm.tiles)),
        st.builds(MaxPool, extents, st.integers(2, 9), st.integers(1, 2), channels),
        st.builds(
            AveragePool,
            *(st.integers(1, 4), st.integers(1, 4), channels),
            *(st.tuples(kernels, kernels), st.just((1, 1))),
        ),
        st.builds(
            DequantizedAveragePool,
            *(st.integers(1, 4), st.integers(1, 4), channels),
            *(st.tuples(kernels, kernels), st.just((1, 1)), st.just(1.0)),
        ),
    )


@pytest.mark.parametrize("target", RUNNABLE, ids=lambda target: target.name)
@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_sketch_computes_the_kernel(target: Target, data: st.DataObject) -> None:
    workload = data.draw(workloads(target.isa))
    found = sketches(s_tir.Schedule(kernel_module(workload)), workload, target.isa)
    chosen = data.draw(st.sampled_from(found))
    runs_right(workload, chosen.mod, target)


@pytest.mark.parametrize("target", RUNNABLE, ids=lambda target: target.name)
def test_no_code_calls_the_runtime(target: Target, tmp_path: Path) -> None:
    lanes = target.isa.float_lanes
    convolution = Conv2d(6, 12, 8, 3, 1, 2 * lanes, 2 * lanes)
    for workload in (
        convolution,
        MaxPool(4, 6, 2, lanes),
        AveragePool(1, 6, lanes, (4, 2), (4, 2)),
    ):
        assert is_tunable(workload)
        schedule = s_tir.Schedule(kernel_module(workload))
        for index, sketch in enumerate(sketches(schedule, workload, target.isa)):
            path = tmp_path / f"{workload.name}{index}.o"
            generate(sketch.mod, tvm_target(target)).mod.write_to_file(str(path), "o")
            symbols = subprocess.run(["nm", path], capture_output=True, text=True, check=True)
            assert "TVMBackend" not in symbols.stdout


def test_accumulators_never_outnumber_the_registers() -> None:
    for target in (TARGETS[0], TARGETS[2]):
        isa = target.isa
        workload = Conv2d(12, 60, 16, 1, 1, 4 * isa.float_lanes, 4 * isa.float_lanes)
        for _ in range(5):
            for sketch in sketches(s_tir.Schedule(kernel_module(workload)), workload, isa):
                loops = sketch.get_loops(sketch.get_sblock("out"))[-4:]
                vectors = np.prod([int(sketch.get(loop).extent) for loop in loops[:-1]])
                assert vectors <= isa.registers


def test_what_is_not_worth_tuning() -> None:
    assert not is_tunable(Normalise(24, 94, 3, 127.5, 1 / 128))


def test_metaschedule_takes_the_space() -> None:
    from tvm.s_tir import meta_schedule as ms

    isa = TARGETS[0].isa
    workload = Conv2d(4, 6, 8, 3, 1, 16, 16)
    import_x86_intrinsics()
    context = ms.TuneContext(
        kernel_module(workload),
        target=tvm_target(TARGETS[0]),
        space_generator=space_generator(workload, isa),
        search_strategy=ms.search_strategy.ReplayTrace(),
    )
    assert len(context.generate_design_space()) == 2 * 2 * 2  # rows, vectors, reduction orders
