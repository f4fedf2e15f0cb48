"""Scratch memory of kernels is in the arena, and stack frames are small."""

import re
import subprocess
from pathlib import Path

import pytest
import tvm
from tvm import tirx
from tvm.script import tirx as T

from lprnet.compiler.codegen import generate, tvm_target
from lprnet.compiler.compile import lower_network
from lprnet.compiler.constant_pool import ConstantPool
from lprnet.compiler.kernel_scratch import REGISTER_FILE, expose_scratch
from lprnet.compiler.targets import PORTABLE, PORTABLE_TARGETS, TARGET_NAMES, find_target
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.prepared import default_artifact, prepared
from tests.shared_results import SharedResults

MAX_FRAME = 4096
"""Bytes: threads have 64 KB of stack and more, of which Python takes its part."""


@T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
def tiled(
    data: T.Buffer((8, 1024), "float32"),  # type: ignore[valid-type]
    out: T.Buffer((8, 1024), "float32"),  # type: ignore[valid-type]
) -> None:
    """One tensor for all tiles, one buffer of 4 KB and one of 32 bytes for each."""
    with T.sblock("root"):
        whole = T.sblock_alloc_buffer((1024,))
        tile = T.sblock_alloc_buffer((8, 1024), scope="local")
        vector = T.sblock_alloc_buffer((8, 1024), scope="local")
        for column in range(1024):
            with T.sblock("whole"):
                j = T.axis.spatial(1024, column)
                whole[j] = data[0, j]
        for row in range(8):
            for column in range(1024):
                with T.sblock("tile"):
                    i, j = T.axis.remap("SS", [row, column])
                    tile[i, j] = data[i, j] + whole[j]
            for outer in range(128):
                for lane in range(8):
                    with T.sblock("vector"):
                        i = T.axis.spatial(8, row)
                        j = T.axis.spatial(1024, outer * 8 + lane)
                        vector[i, j] = tile[i, 1023 - j]
                for lane in range(8):
                    with T.sblock("out"):
                        i = T.axis.spatial(8, row)
                        j = T.axis.spatial(1024, outer * 8 + lane)
                        out[i, j] = vector[i, j]


def shapes(buffers: tuple[tirx.Buffer, ...]) -> list[list[int]]:
    return [[int(extent) for extent in buffer.shape] for buffer in buffers]


def allocated(function: tirx.PrimFunc) -> list[str]:
    return re.findall(r"(\w+) = T\.sblock_alloc_buffer", function.script())


def test_scratch_is_taken_out_and_registers_stay() -> None:
    kernel = expose_scratch(tiled)
    assert shapes(kernel.tensors) == [[1024]]
    assert shapes(kernel.tiles) == [[1, 1024]], "of one row: the loop around it runs eight times"
    assert allocated(kernel.function) == ["vector"]


def test_a_kernel_of_small_tiles_keeps_its_blocks() -> None:
    """So that its machine code is what its schedule says, compacted once, by TVM."""

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def small(
        data: T.Buffer((64, 8), "float32"),  # type: ignore[valid-type]
        out: T.Buffer((64, 8), "float32"),  # type: ignore[valid-type]
    ) -> None:
        with T.sblock("root"):
            vector = T.sblock_alloc_buffer((64, 8), scope="local")
            for row in range(64):
                for lane in range(8):
                    with T.sblock("vector"):
                        i, j = T.axis.remap("SS", [row, lane])
                        vector[i, j] = data[i, j]
                for lane in range(8):
                    with T.sblock("out"):
                        i, j = T.axis.remap("SS", [row, lane])
                        out[i, j] = vector[i, j]

    kernel = expose_scratch(small)
    assert (kernel.tensors, kernel.tiles) == ((), ())
    tvm.ir.assert_structural_equal(kernel.function, small)


VARIANTS: tuple[tuple[str | None, str | None], ...] = (
    (None, None),
    ("weights", None),
    ("static", None),
    (None, "structured"),
    ("static", "structured"),
)
OTHER_TARGETS = [name for name in TARGET_NAMES[1:] if name not in PORTABLE_TARGETS]
"""Their kernels and schedules are those of a portable target, of the same instruction set: float32,
which has the most tiles, stands for all.
"""
CASES = [
    *((*variant, target) for variant in VARIANTS for target in PORTABLE_TARGETS),
    *((None, None, target) for target in OTHER_TARGETS),
]


def frames(library: Path) -> list[int]:
    """What each function of an object file or artifact takes from the stack at once, in bytes."""
    listing = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", library], capture_output=True, text=True, check=True
    ).stdout
    assert "%rsp" in listing
    return [int(size, 16) for size in re.findall(r"sub +\$0x([0-9a-f]+),%rsp", listing)]


@pytest.mark.parametrize(("quantized", "pruned", "target"), CASES)
def test_the_stack_of_a_small_thread_is_enough(
    quantized: str | None,
    pruned: str | None,
    target: str,
    tmp_path: Path,
    shared_results: SharedResults,
) -> None:
    if not quantized and not pruned and target in PORTABLE_TARGETS:  # other tests build it too
        portable = shared_results.call(default_artifact, PORTABLE, shared_results.folder)
        assert max(frames(portable)) <= MAX_FRAME
        return
    row = find_target(target)
    network, *_ = shared_results.call(prepared, DEFAULT_CHECKPOINT, None, quantized, pruned)
    program = lower_network(network, row, ConstantPool()).program
    code = generate(tvm.IRModule({row.function: program.function}), tvm_target(row))
    code.mod.write_to_file(str(tmp_path / "code.o"))
    assert max(frames(tmp_path / "code.o")) <= MAX_FRAME
    assert MAX_FRAME > REGISTER_FILE
