"""CPU dispatch checks the arguments of an artifact, because its functions do not."""

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm_ffi
from numpy.typing import DTypeLike, NDArray
from tvm import tirx
from tvm.script import tirx as T

from lprnet.compiler.aot_function import Program
from lprnet.compiler.link import link
from lprnet.compiler.targets import AMX, AMX_BF16, find_target
from lprnet.runtime.cpu import cpu_flags

IMAGE, LOGITS, FLOATS = (2, 5, 3), (1, 2, 8), 32
COUNT = 4
TARGET = find_target("native")
DEVICE = 32
"""Bytes from a tensor object's address to its device: an object's head, a pointer."""


@T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
def first_pixels(
    images: T.handle("uint8"),  # type: ignore[valid-type]
    n: T.int64,
    logits: T.handle("float32"),  # type: ignore[valid-type]
    arena: T.handle("float32"),  # type: ignore[valid-type]
) -> None:
    """logits[i] and the end of the arena from the first byte of image i."""
    T.func_attr({"calling_conv": 2})
    pixels = T.decl_buffer((n * 30,), "uint8", data=images)
    out = T.decl_buffer((n * 16,), data=logits)
    scratch = T.decl_buffer((32,), data=arena)
    for i in range(n):
        scratch[31] = T.cast(pixels[i * 30], "float32")
        for j in range(16):
            out[i * 16 + j] = scratch[31]


Run = Callable[..., object]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    function: tirx.PrimFunc = first_pixels
    function = function.with_attr("global_symbol", TARGET.function)
    path = tmp_path_factory.mktemp("dispatch") / "artifact.so"
    path.write_bytes(link({TARGET: Program(function, 4 * FLOATS, IMAGE, LOGITS)}, b"weights"))
    return path


@pytest.fixture(scope="module", params=["run", TARGET.function])
def run(request: pytest.FixtureRequest, artifact: Path) -> Run:
    found: Run = tvm_ffi.load_module(str(artifact)).get_function(request.param)
    return found


def test_nothing_lies_in_an_artifact_that_no_call_needs(artifact: Path) -> None:
    """Beyond its functions: TVM's conversions to half precision, tables to unwind by, remarks."""

    def printed(*command: str) -> list[str]:
        ran = subprocess.run([*command, artifact], capture_output=True, text=True, check=True)
        return ran.stdout.split()

    functions = {name for name in printed("nm", "-D", "--defined-only") if name.startswith("_")}
    assert functions == {
        f"__tvm_ffi_{name}" for name in ("code", "contract", "run", TARGET.function)
    }
    sections = printed("readelf", "-SW")
    assert ".text" in sections
    assert not {".eh_frame", ".comment", ".symtab", ".text.tvm.fp16.conv"} & set(sections)
    assert b"hfsf" not in artifact.read_bytes()


def array(shape: tuple[int, ...], dtype: DTypeLike, start: int = 0) -> NDArray[Any]:
    """Zeros that begin `start` bytes behind a boundary of eight."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.zeros(size + 8, np.uint8)[start : start + size].view(dtype).reshape(shape)


def images() -> NDArray[np.uint8]:
    return array((COUNT, *IMAGE), np.uint8)


def logits() -> NDArray[np.float32]:
    return array((COUNT, *LOGITS), np.float32)


def arena() -> NDArray[np.float32]:
    return array((FLOATS,), np.float32)


def test_what_is_right_is_let_through(run: Run) -> None:
    pixels, out = images(), logits()
    pixels[:, 0, 0, 0] = [7, 0, 255, 1]
    assert run(*map(tvm_ffi.from_dlpack, (pixels, out, arena()))) is None
    np.testing.assert_array_equal(out.reshape(COUNT, -1), np.repeat([[7], [0], [255], [1]], 16, 1))


def test_plain_arrays_will_do(run: Run) -> None:
    """Faster from the boundaries of `lprnet/runtime/recognizer.py`, but no code relies on them."""
    pixels, out = array((COUNT, *IMAGE), np.uint8, 1), array((COUNT, *LOGITS), np.float32, 4)
    pixels[1] = 3
    run(*map(tvm_ffi.from_dlpack, (pixels, out, array((FLOATS,), np.float32, 4))))
    assert (out[1] == 3).all()


def test_one_image_may_have_any_stride(run: Run) -> None:
    """NumPy says what it likes of the steps along an axis of one."""
    pixels, out = images()[::2][:1], logits()[::2][:1]
    pixels[0, 0, 0, 0] = 9
    run(*map(tvm_ffi.from_dlpack, (pixels, out, arena())))
    assert (out == 9).all()


def elsewhere(array: NDArray[Any]) -> Any:
    """A tensor that says it lies on a GPU."""
    tensor = tvm_ffi.from_dlpack(array)
    ctypes.c_int32.from_address(tensor.__chandle__() + DEVICE).value = 2
    assert tensor.device == tvm_ffi.device("cuda", 0)
    return tensor


MISTAKES: dict[str, tuple[int, Callable[[], Any]]] = {
    "an integer for images": (0, lambda: 7),
    "None for images": (0, lambda: None),
    "a name for images": (0, lambda: "plate.jpg"),
    "signed images": (0, lambda: images().view(np.int8)),
    "wide images": (0, lambda: array((COUNT, *IMAGE), np.uint16)),
    "one image": (0, lambda: images()[0]),
    "narrow images": (0, lambda: array((COUNT, 2, 4, 3), np.uint8)),
    "channels first": (0, lambda: array((COUNT, 3, 2, 5), np.uint8)),
    "every other image": (0, lambda: array((2 * COUNT, *IMAGE), np.uint8)[::2]),
    "images backwards": (0, lambda: images()[:, :, ::-1]),
    "images on a GPU": (0, lambda: elsewhere(images())),
    "integer logits": (1, lambda: logits().view(np.int32)),
    "double logits": (1, lambda: array((COUNT, *LOGITS), np.float64)),
    "logits for fewer images": (1, lambda: logits()[:-1]),
    "logits for more images": (1, lambda: array((COUNT + 1, *LOGITS), np.float32)),
    "logits of fewer classes": (1, lambda: array((COUNT, 1, 2, 7), np.float32)),
    "flat logits": (1, lambda: logits().reshape(-1)),
    "logits between two floats": (1, lambda: array((COUNT, *LOGITS), np.float32, 2)),
    "a function for logits": (1, lambda: tvm_ffi.convert(lambda: None)),
    "a small arena": (2, lambda: arena()[:-1]),
    "a large arena": (2, lambda: array((FLOATS + 1,), np.float32)),
    "an arena of bytes": (2, lambda: arena().view(np.uint8)),
    "a square arena": (2, lambda: arena().reshape(4, 8)),
    "a sparse arena": (2, lambda: array((2 * FLOATS,), np.float32)[::2]),
    "an arena on a GPU": (2, lambda: elsewhere(arena())),
    "None for the arena": (2, lambda: None),
}


@pytest.mark.parametrize(("position", "mistake"), MISTAKES.values(), ids=MISTAKES)
def test_a_wrong_argument_is_refused_in_one_sentence(
    run: Run, position: int, mistake: Callable[[], Any]
) -> None:
    arguments: list[Any] = [tvm_ffi.from_dlpack(a) for a in (images(), logits(), arena())]
    wrong = mistake()
    arguments[position] = tvm_ffi.from_dlpack(wrong) if isinstance(wrong, np.ndarray) else wrong
    with pytest.raises(ValueError, match=("images", "logits", "arena")[position]) as caught:
        run(*arguments)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert message.count(". ") == 0


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_another_number_of_arguments_is_refused(run: Run, count: int) -> None:
    arguments = [tvm_ffi.from_dlpack(a) for a in (images(), logits(), arena(), arena())]
    with pytest.raises(TypeError, match="takes images, logits and an arena"):
        run(*arguments[:count])


@pytest.mark.skipif("amx_tile" in cpu_flags(), reason="this CPU has tile registers")
def test_a_code_for_tile_registers_is_passed_over_without_them(tmp_path: Path) -> None:
    """And refused in one sentence, not by SIGILL, where it is called by name."""
    programs = {}
    for target in (TARGET, AMX):
        function: tirx.PrimFunc = first_pixels
        function = function.with_attr("global_symbol", target.function)
        programs[target] = Program(function, 4 * FLOATS, IMAGE, LOGITS)
    path = tmp_path / "artifact.so"
    path.write_bytes(link(programs, b"weights"))
    module = tvm_ffi.load_module(str(path))
    assert module.get_function("code")() == 0
    pixels, out = images(), logits()
    pixels[:, 0, 0, 0] = 5
    arguments = [tvm_ffi.from_dlpack(a) for a in (pixels, out, arena())]
    module.get_function("run")(*arguments)
    assert (out == 5).all()
    with pytest.raises(RuntimeError, match=r"no tile registers \(AMX\)\."):
        module.get_function(AMX.function)(*arguments)


@pytest.mark.skipif("amx_tile" in cpu_flags(), reason="this CPU has tile registers")
def test_an_artifact_of_code_for_tile_registers_alone(tmp_path: Path) -> None:
    function = first_pixels.with_attr("global_symbol", AMX_BF16.function)
    path = tmp_path / "artifact.so"
    path.write_bytes(link({AMX_BF16: Program(function, 4 * FLOATS, IMAGE, LOGITS)}, b"weights"))
    module = tvm_ffi.load_module(str(path))
    arguments = [tvm_ffi.from_dlpack(a) for a in (images(), logits(), arena())]
    sentence = r"needs .*amx_bf16, or this process is given no tile registers \(AMX\)\."
    for name in ("code", "run"):
        with pytest.raises(RuntimeError, match=sentence):
            module.get_function(name)(*arguments)
    with pytest.raises(RuntimeError, match=r"given no tile registers \(AMX\)\."):
        module.get_function(AMX_BF16.function)(*arguments)


def test_no_data_is_refused(run: Run) -> None:
    """An empty tensor may have no memory at all."""
    pixels = tvm_ffi.from_dlpack(images())
    ctypes.c_void_p.from_address(pixels.__chandle__() + DEVICE - 8).value = None
    with pytest.raises(ValueError, match="images"):
        run(pixels, *map(tvm_ffi.from_dlpack, (logits(), arena())))
