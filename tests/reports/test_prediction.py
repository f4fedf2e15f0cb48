"""Block counts of loops of known length, llvm-mca's known latencies, and the committed table."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tvm

from lprnet.compiler.codegen import generate, tvm_target
from lprnet.compiler.targets import find_target
from lprnet.measure.peak_throughput import STEPS, fma_loop
from lprnet.reports.prediction.block_counts import Block, count_blocks
from lprnet.reports.prediction.llvm_mca import Operands, find_mca, peak, products, time_blocks
from lprnet.reports.prediction.render import markdown
from lprnet.reports.prediction.results import Estimate, KernelEstimate, Loop, Prediction
from schedules.isa import AVX2, AVX512, AVX512_VNNI, Isa
from tests.conftest import PROJECT

needs_mca = pytest.mark.skipif(
    not any(shutil.which(f"llvm-mca{suffix}") for suffix in ("", "-14", "-16", "-19")),
    reason="llvm-mca is not installed",
)


@pytest.mark.isa("broadwell")
def test_counted_blocks_multiply_as_often_as_the_loop_says(tmp_path: Path) -> None:
    target = find_target("broadwell")
    assembly = generate(fma_loop(AVX2), tvm_target(target)).mod.inspect_source("s")
    factors = tvm.runtime.tensor(np.array([0.5, 1.0], np.float32))
    out = tvm.runtime.tensor(np.zeros((AVX2.registers - 4, AVX2.float_lanes), np.float32))
    blocks = count_blocks(assembly, (factors, out), tmp_path)
    counted = sum(block.runs * products(block, AVX2, Operands.FLOAT32) for block in blocks)
    assert counted == STEPS * (AVX2.registers - 4)
    np.testing.assert_allclose(out.numpy(), 2.0, rtol=1e-6)  # counting changes no result
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("instruction", "isa", "operands", "count"),
    [
        ("vfmadd231ps (%rax){1to16}, %zmm1, %zmm2", AVX512, Operands.FLOAT32, 1),
        ("vfmadd231ss %xmm0, %xmm1, %xmm2", AVX512, Operands.FLOAT32, 0),
        ("vfmadd213ps %ymm0, %ymm1, %ymm2", AVX512, Operands.FLOAT32, 0),
        ("vfnmadd213ps %ymm0, %ymm1, %ymm2", AVX2, Operands.FLOAT32, 1),
        ("vpdpbusd %zmm0, %zmm1, %zmm2", AVX512_VNNI, Operands.INT8, 1),
        ("vpmaddubsw %zmm0, %zmm1, %zmm2", AVX512, Operands.INT8, 1),
        ("vpmaddwd %zmm0, %zmm1, %zmm2", AVX512, Operands.INT8, 0),
        ("vpmaddwd %ymm0, %ymm1, %ymm2", AVX2, Operands.INT16, 1),
        ("vaddps %zmm0, %zmm1, %zmm2", AVX512, Operands.FLOAT32, 0),
    ],
)
def test_what_counts_as_a_product(
    instruction: str, isa: Isa, operands: Operands, count: int
) -> None:
    assert products(Block((instruction,), 1), isa, operands) == count


@needs_mca
def test_models_know_latency_and_throughput() -> None:
    chain, free = time_blocks(
        [
            ["vfmadd231ps %zmm1, %zmm2, %zmm3"],
            [f"vfmadd231ps %zmm31, %zmm30, %zmm{n}" for n in range(28)],
        ],
        "skylake-avx512",
    )
    assert chain.limit == "latency"
    assert chain.cycles == pytest.approx(4, rel=0.02)  # of an FMA, Skylake
    assert free.cycles == pytest.approx(14, rel=0.02)  # two a cycle
    assert "Port" in free.limit
    assert peak(AVX512_VNNI, Operands.INT8, "cascadelake") == pytest.approx(2, rel=0.02)
    # Broadwell multiplies integers on one port.
    assert peak(AVX2, Operands.INT8, "broadwell") == pytest.approx(0.5, rel=0.02)
    assert peak(AVX2, Operands.INT16, "broadwell") == pytest.approx(1, rel=0.02)
    assert Path(find_mca()).is_file()


def test_the_committed_table_is_made_from_the_committed_record() -> None:
    folder = PROJECT / "docs" / "results"
    content = json.loads((folder / "xeon-predicted.json").read_text())
    estimates = []
    for estimate in content.pop("estimates"):
        kernels = tuple(
            KernelEstimate(**{**kernel, "loop": kernel["loop"] and Loop(**kernel["loop"])})
            for kernel in estimate.pop("kernels")
        )
        estimates.append(Estimate(**estimate, kernels=kernels))
    prediction = Prediction(**content, estimates=tuple(estimates))
    assert markdown(prediction) == (folder / "xeon-predicted.md").read_text()
