"""Convolutions on tile registers: exact on a model of the instructions, in order in the code."""

import re
from pathlib import Path

import numpy as np
import pytest
import tvm
import tvm_ffi
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tvm import tirx

from lprnet.compiler.codegen import generate, tvm_target
from lprnet.compiler.targets import AMX, find_target
from schedules.amx.conv2d import tile_conv2d
from schedules.workloads.bfloat16 import Bf16TileConv2d
from schedules.workloads.tile_conv import COLUMNS, TileConv2d
from tests.schedules.amx.tile_model import library, on_any_cpu
from tests.schedules.kernel_runner import call
from tests.schedules.test_integer_kernels import requantized, sums

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "tconv3x1_amx.tir"
HOST = find_target("broadwell")
Integers = NDArray[np.int64]
WIDEST = 2**15 - 1


def in_columns(workload: TileConv2d, values: NDArray[np.generic]) -> NDArray[np.generic]:
    """`(O, ...)` by output channel as `(blocks, 16, ...)`, the padding zeros."""
    columns = np.zeros((workload.padded_channels, *values.shape[1:]), values.dtype)
    columns[workload.channel_columns()[: len(values)]] = values
    return columns.reshape(workload.blocks, COLUMNS, *values.shape[1:])


def check(workload: TileConv2d, seed: int, extreme: bool = False) -> None:
    """Random operands; with `extreme`, values that go to both ends of int16."""
    rng = np.random.default_rng(seed)
    kernel = (workload.kernel_height, workload.kernel_width)
    shape = (workload.out_channels, workload.channels, *kernel)
    data: Integers = rng.integers(0, 256, workload.data_shape)
    weight: Integers = rng.integers(-128, 128, shape)
    if extreme:
        data[:] = 255
        weight[:] = np.where(rng.random(shape[:1] + (1, 1, 1)) < 0.5, -128, 127)
    bias = rng.integers(-20000, 20000, workload.out_channels)
    total = sums(data, weight)[:: workload.row_stride] + bias
    largest = WIDEST - 1 if extreme else rng.uniform(100, 500)
    multiplier = (largest / abs(total).max((0, 1)).clip(1)).astype("float32")
    packed = in_columns(workload, weight.astype("int8")).transpose(0, 3, 4, 2, 1)
    packed = packed.reshape(*packed.shape[:3], -1, 4, COLUMNS).swapaxes(4, 5)
    operands = (
        data.astype("uint8"),
        np.ascontiguousarray(packed),
        in_columns(workload, bias.astype("int32")),
        in_columns(workload, multiplier),
    )
    before = library().model_faults()
    got = call(on_any_cpu(tile_conv2d(workload)), HOST, *operands)
    assert library().model_faults() == before
    assert not library().model_configured(), "tiles are released"
    expected = requantized(total, multiplier, workload.qmax)
    np.testing.assert_array_equal(got[..., : workload.out_channels], expected)
    assert not got[..., workload.out_channels :].any()
    if workload.window < 200:
        np.testing.assert_array_equal(call(workload.prim_func(), HOST, *operands), got)


@settings(max_examples=12, derandomize=True, deadline=None)
@given(
    height=st.integers(1, 4),
    width=st.integers(4, 40),
    groups=st.integers(1, 20),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    out_channels=st.integers(1, 140),
    qmax=st.sampled_from([127, 255]),
    seed=st.integers(0, 1000),
)
def test_any_convolution(
    height: int,
    width: int,
    groups: int,
    kernel: tuple[int, int],
    out_channels: int,
    qmax: int,
    seed: int,
) -> None:
    check(TileConv2d(height, width, 4 * groups, *kernel, out_channels, COLUMNS, qmax), seed)


@pytest.mark.parametrize("tiles", [1, 2, 3, 4])
def test_results_at_both_ends_of_int16(tiles: int) -> None:
    check(TileConv2d(2, 18, 32, 1, 1, tiles * COLUMNS, COLUMNS, 255), 1, extreme=True)


LAYERS = [
    TileConv2d(22, 92, 12, 1, 3, 32, COLUMNS, 255),
    TileConv2d(22, 92, 4, 3, 3, 32, COLUMNS, 255),
    TileConv2d(20, 90, 32, 1, 1, 77, COLUMNS, 255),
    TileConv2d(20, 90, 32, 3, 1, 31, COLUMNS, 255),
    TileConv2d(10, 90, 32, 3, 1, 48, COLUMNS, 255, row_stride=2),
    TileConv2d(18, 44, 16, 1, 3, 32, COLUMNS, 127),
    TileConv2d(16, 18, 32, 1, 4, 39, COLUMNS, 255),
    TileConv2d(4, 18, 64, 13, 1, 48, COLUMNS, 255),
]
"""One of each kind in a network: windows, tiles of channels, pieces of the reduction."""


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_the_layers_of_a_network(layer: TileConv2d) -> None:
    check(layer, 3)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_machine_code_has_the_instructions_that_the_kernel_asks_for(layer: TileConv2d) -> None:
    """And no shuffle of three operations."""
    assembly = machine_code(layer)
    assert "vpermt2" not in assembly
    assert "vpermi2" not in assembly


def machine_code(layer: TileConv2d | Bf16TileConv2d) -> str:
    """The assembly of a kernel, in which are as many tile instructions of each kind as it asks for,
    in its order: LLVM added none.
    """
    function = tile_conv2d(layer)
    module = tvm.IRModule({"main": function})
    assembly = str(generate(module, tvm_target(AMX)).mod.inspect_source("asm"))
    found = re.findall(r"^\t(ldtilecfg|tile\w+|tdp\w+)\b", assembly, re.MULTILINE)
    names = {"tileloadd64": "tileloadd", "tilestored64": "tilestored"}
    assert found == [names.get(name, name) for name in tile_statements(function)]
    return assembly


def tile_statements(function: tirx.PrimFunc) -> list[str]:
    """Names of the tile instructions of `function`, in the order of the program."""
    return re.findall(r'"llvm\.x86\.(ldtilecfg|t\w+)"', function.script())


def test_golden_kernel() -> None:
    """The whole kernel as it was reviewed; a wanted change is written anew with `script()`."""
    kernel = tile_conv2d(TileConv2d(2, 20, 32, 3, 1, 32, COLUMNS, 255))
    golden = tvm.script.from_source(GOLDEN.read_text())
    tvm.ir.assert_structural_equal(kernel, golden)
    assert not tvm_ffi.structural_equal(
        kernel, tile_conv2d(TileConv2d(2, 20, 32, 1, 1, 32, COLUMNS, 255))
    )
