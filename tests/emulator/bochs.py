"""Runs an artifact's object code on an emulated CPU that this machine need not be.

Bochs emulates the instructions of a CPU model one by one, AVX-512 and VNNI included. There is no
operating system: `rom.S` takes the machine from reset to 32-bit mode and reads the program from a
disk, `boot.S` goes on to long mode with the vector registers switched on, `program.c` calls the
artifact's function on images that are linked in and sends the logits out of the serial port, which
Bochs writes to a file. What is linked are the object files of
`lprnet.compiler.link.compile_objects`, the same that make a shared object.

Debian's Bochs 2.7 has no AMX. Bochs 3 has, configured with --enable-x86-64 --enable-avx
--enable-evex --enable-amx --with-nogui --with-rfb, but multiplies signed bytes as if they had no
sign, and of two vectors that become one in bfloat16 it reads the second beyond its end (snapshot
783b58f, August 2026); `patch -p1 < bochs.patch` mends that.
"""

import functools
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tvm_ffi import libinfo

from lprnet.compiler.link import NO_LIBC
from lprnet.compiler.toolchain import run_compiler

SOURCES = Path(__file__).parent
ALL_STATE = 0x600E7
"""XCR0 of an operating system that saves x87, SSE, AVX, AVX-512 and tile registers."""
AVX512_STATE = 0xE7
"""One that knows nothing of tiles."""
AVX_STATE = 0x07
"""One that knows nothing of AVX-512."""
CYLINDER = 16 * 63 * 512 * 8
"""Bytes; disks have whole ones, and eight are whole transfers of 128 sectors."""
SECONDS = 300

_CONFIGURATION = """\
display_library: rfb, options="timeout=0"
megs: 64
cpu: model={model}, ips=4000000, reset_on_triple_fault=0
romimage: file={folder}/rom.bin, address=0xffff0000
ata0-master: type=disk, path={folder}/disk, mode=flat
plugin_ctrl: {without}
com1: enabled=1, mode=file, dev={folder}/serial
log: {folder}/log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
clock: sync=none
"""


@dataclass(frozen=True)
class Outcome:
    """What came out of the serial port."""

    code: int | None
    """Which of the artifact's codes `run` takes on this CPU; None if it has none for it."""
    logits: NDArray[np.float32]
    """`(N, ...)` as the artifact stores them; N is 0 if it refused to run."""
    refusal: str


def missing_programs() -> list[str]:
    """What emulation needs and this machine lacks."""
    return [name for name in ("bochs", "gcc", "objcopy") if shutil.which(name) is None]


@functools.cache
def cpu_models() -> frozenset[str]:
    """The CPU models that this Bochs has; 2.7 has none with tile registers."""
    return frozenset(_help("cpu").split())


def emulate(
    objects: Sequence[Path],
    images: NDArray[np.uint8],
    arena_bytes: int,
    logits_shape: tuple[int, ...],
    model: str,
    folder: Path,
    function: str = "run",
    state: int = ALL_STATE,
    system_call: int = 0,
    seconds: float = SECONDS,
) -> Outcome:
    """Run `function` of the artifact made of `objects` on `images` `(N, H, W, 3)` on Bochs's CPU
    `model`; with no images, only ask which code the artifact would choose.

    `arena_bytes` and `logits_shape` are those of the code that will run. `state` is XCR0,
    `system_call` what the operating system answers a program that asks for tile registers. Raises
    `RuntimeError` with the end of the emulator's log if the program did not come to its end, and
    `subprocess.TimeoutExpired` after `seconds`.
    """
    (folder / "images.bin").write_bytes(np.ascontiguousarray(images).tobytes())
    count, height, width, _ = images.shape
    sizes = {
        "COUNT": count,
        "HEIGHT": height,
        "WIDTH": width,
        "LOGITS": ",".join(map(str, logits_shape)),
        "LOGITS_SIZE": prod(logits_shape),
        "ARENA": arena_bytes,
        "FUNCTION": f"__tvm_ffi_{function}",
        "XCR0_MASK": hex(state),
        "SYSTEM_CALL": system_call,
        "IMAGES": f'"{folder}/images.bin"',
    }
    defines = [f"-D{name}={value}" for name, value in sizes.items()]
    includes = [f"-I{directory}" for directory in libinfo.include_paths()]
    for source in ("boot.S", "program.c"):
        run_compiler(
            [
                "-c",
                *NO_LIBC,
                "-fno-pic",
                *defines,
                *includes,
                SOURCES / source,
                "-o",
                f"{source}.o",
            ],
            folder,
        )
    program = folder / "program.elf"
    parts: tuple[str | Path, ...] = ("boot.S.o", "program.c.o", *objects)
    linking = [
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,--build-id=none,-z,noexecstack,--no-warn-rwx-segments",
    ]
    run_compiler(
        [*linking, "-T", SOURCES / "program.ld", "-o", program.name, *parts],
        folder,
    )
    disk = folder / "disk"
    _run(["objcopy", "-O", "binary", program, disk])
    disk.write_bytes(disk.read_bytes() + bytes(-disk.stat().st_size % CYLINDER))
    sectors = f"-DSECTORS={disk.stat().st_size // 512}"
    run_compiler(["-c", sectors, SOURCES / "rom.S", "-o", "rom.o"], folder)
    _run(["objcopy", "-O", "binary", folder / "rom.o", folder / "rom.bin"])
    return _boot(folder, model, (count, *logits_shape), seconds)


@functools.cache
def _help(*topic: str) -> str:
    """What this Bochs says of itself."""
    command = ["bochs", "--help", *topic]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return ran.stdout + ran.stderr


def _run(command: Sequence[object]) -> None:
    subprocess.run([str(word) for word in command], check=True)


def _boot(folder: Path, model: str, shape: tuple[int, ...], seconds: float) -> Outcome:
    configuration, commands = folder / "bochsrc", folder / "commands"
    without = "speaker=0, gameport=0" if "gameport" in _help("features") else "speaker=0"
    configuration.write_text(_CONFIGURATION.format(model=model, folder=folder, without=without))
    commands.write_text("c\n")
    in_debugger = ("-rc", commands) if "-rc " in _help() else ()  # Debian's starts in one
    subprocess.run(
        ["bochs", "-q", "-f", configuration, *in_debugger],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=folder,
        timeout=seconds,
        check=False,
    )
    head, _, body = (folder / "serial").read_bytes().partition(b"\n")
    nothing = np.empty((0, *shape[1:]), np.float32)
    if head.startswith(b"error "):
        return Outcome(None, nothing, head[6:].decode())
    if head.startswith(b"code ") and body.startswith(b"error "):
        return Outcome(int(head[5:]), nothing, body[6:].decode())
    if not head.startswith(b"code ") or len(body) != 4 * prod(shape):
        log = (folder / "log").read_text(errors="replace").splitlines()
        raise RuntimeError(f"{model}: {head!r}, {len(body)} bytes; " + "\n".join(log[-20:]))
    return Outcome(int(head[5:]), np.frombuffer(body, np.float32).reshape(shape), "")
