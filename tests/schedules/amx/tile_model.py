"""AMX kernels on a CPU without AMX and AVX-512: their instructions replaced by what they compute.

A tile instruction becomes a call of `tile_model.c`, a shuffle of AVX-512 one of LLVM's own on the
same indices. So the program is the kernel's, statement by statement; only LLVM's choice of
instructions is not, which the emulator runs (`tests/emulator`) and the disassembly shows.
"""

import ctypes
import functools
import tempfile
from pathlib import Path

import numpy as np
import tvm
import tvm_ffi
from numpy.typing import NDArray
from tvm import tirx
from tvm.target.codegen import llvm_lookup_intrinsic_id

from lprnet.compiler.codegen import generate, tvm_target
from lprnet.compiler.targets import find_target
from lprnet.compiler.toolchain import run_compiler

TILE = ("ldtilecfg", "tileloadd64", "tilestored64", "tdpbusd", "tdpbf16ps", "tilerelease")


def _number(name: str) -> int:
    return int(llvm_lookup_intrinsic_id(f"llvm.{name}"))


@functools.cache
def library() -> ctypes.CDLL:
    """`tile_model.c`, visible to the code that LLVM makes."""
    with tempfile.TemporaryDirectory() as folder:
        source, built = Path(__file__).with_name("tile_model.c"), Path(folder, "model.so")
        run_compiler(
            ["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", built, source, "-lm"],
            Path(folder),
        )
        return ctypes.CDLL(str(built), ctypes.RTLD_GLOBAL)


def on_any_cpu(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """`function` with every instruction that needs AMX or AVX-512 replaced."""
    tiles = {_number(f"x86.{name}"): name for name in TILE}
    fence = _number("arithmetic.fence")
    shuffles = {
        _number("x86.avx512.pshuf.b.512"): lambda i: np.arange(64) // 16 * 16 + i % 16,
        _number("x86.avx512.permvar.qi.512"): lambda i: i % 64,
        _number("x86.avx512.permvar.di.512"): lambda i: i % 8,
    }
    pack = _number("x86.avx512.packuswb.512")
    converted = {
        _number(f"x86.avx512bf16.{name}.512") for name in ("cvtneps2bf16", "cvtne2ps2bf16")
    }
    constants: dict[tirx.Var, NDArray[np.generic]] = {}

    def unfenced(call: tvm.ir.Call) -> tvm.ir.Expr:
        return call.args[1] if _intrinsic(call) == fence else call

    def collect(bind: tirx.Bind) -> None:
        if str(bind.value.ty) in ("int8x64", "int64x8"):
            constants[bind.var] = _value(bind.value)

    def replaced(call: tvm.ir.Call) -> tvm.ir.Expr:
        number = _intrinsic(call)
        if number in tiles:
            return tirx.call_extern("int32", f"model_{tiles[number]}", *call.args[1:])
        if number in shuffles:
            vector, index = call.args[1:]
            lanes = shuffles[number](constants[index].astype(int))
            return tirx.Shuffle([vector], lanes.tolist())
        if number == pack:
            low, high = (_clamped(words) for words in call.args[1:])
            eights = np.arange(64).reshape(2, 4, 8).transpose(1, 0, 2).ravel()
            return tirx.reinterpret("int8x64", tirx.Shuffle([low, high], eights.tolist()))
        if number in converted:
            *upper, lower = (_bfloat16(sums) for sums in call.args[1:])
            lanes = 16 * (len(upper) + 1)
            joined = tirx.Shuffle([lower, *upper], list(range(lanes))) if upper else lower
            return tirx.reinterpret(f"bfloat16x{lanes}", joined)
        return call

    body = tvm_ffi.structural_map(function.body, (tvm.ir.Call, unfenced))
    tvm_ffi.structural_walk(body, (tirx.Bind, collect))
    return function.with_body(tvm_ffi.structural_map(body, (tvm.ir.Call, replaced)))


def _intrinsic(call: tvm.ir.Call) -> int | None:
    if getattr(call.op, "name", "") in ("tirx.call_llvm_intrin", "tirx.call_llvm_pure_intrin"):
        return int(call.args[0].value)
    return None


def _clamped(words: tvm.ir.Expr) -> tvm.ir.Expr:
    low, high = (tirx.const(level, "int16x32") for level in (0, 255))
    return tirx.max(tirx.min(words, high), low).astype("uint8x32")


def _bfloat16(sums: tvm.ir.Expr) -> tvm.ir.Expr:
    """uint16x16: finite float32 rounded to nearest, ties to even; subnormal ones are 0."""
    bits = tirx.reinterpret("uint32x16", sums)
    sixteen, half, one, smallest = (
        tirx.const(value, "uint32x16") for value in (16, 0x7FFF, 1, 0x800000)
    )
    rounded = bits + half + (bits >> sixteen & one)
    magnitude = bits & tirx.const(0x7FFFFFFF, "uint32x16")
    upper = tirx.Select(magnitude < smallest, tirx.const(0, "uint32x16"), rounded >> sixteen)
    return upper.astype("uint16x16")


def _value(expression: tvm.ir.Expr) -> NDArray[np.generic]:
    """The value of an expression of constants."""
    dtype = str(expression.ty.dtype)
    element, _, lanes = dtype.partition("x")
    out = tirx.decl_buffer((int(lanes),), element, "out")
    store = tirx.BufferStore(out, expression, [tirx.Ramp(0, 1, int(lanes))])
    function = tirx.PrimFunc([out], store).with_attrs({"global_symbol": "main", "s_tir": True})
    result = tvm.runtime.tensor(np.zeros(int(lanes), element))
    generate(tvm.IRModule({"main": function}), tvm_target(find_target("broadwell")))["main"](result)
    value: NDArray[np.generic] = result.numpy()
    return value
