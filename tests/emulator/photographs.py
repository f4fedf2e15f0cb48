"""Reads photographs with an artifact's AMX code where there is no AMX, and compares each of them.

    python -m tests.emulator.photographs CHECKPOINT IMAGES FOLDER --calibration DIR \\
        --quantized=static --pruned=structured

A CPU with AVX-512 runs the code itself, and a model answers its tile instructions
(`tile_trap.py`): three minutes for 1,000 photographs. On another one Bochs emulates all of it.

Logits must be those of the VNNI code and of the code for this machine's CPU, bit for bit. In bf16
they are compared with PyTorch's, whose sums have another order. Parts that are done lie in FOLDER,
and another run goes on after them.
"""

import argparse
import ctypes
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lprnet.compiler.compile import lower_network
from lprnet.compiler.constant_pool import ConstantPool
from lprnet.compiler.link import compile_objects
from lprnet.compiler.targets import AMX, AMX_BF16, Target, find_target
from lprnet.compiler.toolchain import run_compiler
from lprnet.compression.calibration import read_images
from lprnet.compression.variants import prepare
from lprnet.runtime.artifact import ALIGNMENT
from lprnet.runtime.decode import greedy
from lprnet.runtime.image_paths import images_in
from lprnet.support.errors import UserError
from tests.emulator.bochs import emulate
from tests.emulator.tile_trap import answer_tiles, can_answer

MODEL = "sapphire_rapids"
SECONDS = 4 * 3600
"""For one part, on a machine that has other work."""


class Photographs:
    """Code for AMX, for VNNI and for this machine, in one artifact, and what each computes."""

    def __init__(self, options: argparse.Namespace) -> None:
        network, *_ = prepare(
            options.checkpoint, options.calibration, options.quantized, options.pruned
        )
        self.network = network
        self.shape = network.expected(np.zeros((1, 24, 94, 3), np.uint8)).shape[1:]
        self.folder: Path = options.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.bf16 = options.quantized == "bf16"
        self.here = find_target("native")
        integer = (self.here, find_target("sapphirerapids"), AMX)
        targets = dict.fromkeys((AMX_BF16,) if self.bf16 else integer)
        weights = ConstantPool()
        self.lowered = {target: lower_network(network, target, weights) for target in targets}
        programs = {target: one.program for target, one in self.lowered.items()}
        self.objects = compile_objects(programs, bytes(weights.blob), self.folder)
        self._check_same_code()
        shared = self.folder / "artifact.so"
        run_compiler(["-shared", "-fPIC", "-o", shared, *self.objects], self.folder)
        self.library = ctypes.CDLL(str(shared))

    def _check_same_code(self) -> None:
        """Raise `UserError` if parts in the folder were computed by other code."""
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in self.objects)).hexdigest()
        stated = self.folder / "code.sha256"
        if stated.exists() and stated.read_text() != digest:
            raise UserError(f"{self.folder}: holds parts of another artifact; name another folder")
        stated.write_text(digest)

    def computed(self, target: Target, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """`(N, classes, positions)` by this CPU if it can, else by the emulator."""
        if can_answer(target):
            model = answer_tiles()
            logits = self._natively(target, images)
            if model.model_faults():
                raise RuntimeError("a tile instruction that a CPU would refuse")
            return logits
        program = self.lowered[target].program
        extents = (program.arena_bytes, program.logits_shape)
        outcome = emulate(
            self.objects, images, *extents, MODEL, self.folder, target.function, seconds=SECONDS
        )
        return self._cut(outcome.logits)

    def _natively(self, target: Target, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The same by this machine's own CPU."""
        program = self.lowered[target].program
        logits = np.zeros((len(images), *program.logits_shape), np.float32)
        arena = np.zeros(program.arena_bytes + ALIGNMENT, np.uint8)
        arena = arena[-arena.ctypes.data % ALIGNMENT :]
        addresses = [ctypes.c_void_p(array.ctypes.data) for array in (images, logits, arena)]
        run = self.library[target.function]
        run(addresses[0], ctypes.c_int64(len(images)), *addresses[1:])
        return self._cut(logits)

    def _cut(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        classes, positions = self.shape
        used: NDArray[np.float32] = logits[:, 0, :positions, :classes].transpose(0, 2, 1)
        return used

    @property
    def names(self) -> tuple[str, ...]:
        """Of what `part` returns."""
        return ("AMX", "PyTorch") if self.bf16 else ("AMX", "VNNI", self.here.name)

    def part(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of one part by AMX and by what it is compared with, in the order of `names`."""
        if self.bf16:
            return np.stack([self.computed(AMX_BF16, images), self.network.expected(images)])
        targets = (AMX, find_target("sapphirerapids"))
        own = self._natively(self.here, images)
        return np.stack([*(self.computed(target, images) for target in targets), own])


def report(parts: Sequence[NDArray[np.float32]], texts: Sequence[str], read: Photographs) -> str:
    """What the parts say, for a page of the documentation."""
    logits = np.concatenate(parts, axis=1)
    alphabet = read.network.architecture.alphabet
    plates = [[plate.text for plate in greedy(one, alphabet)] for one in logits]
    right = sum(a == text for a, text in zip(plates[0], texts, strict=False))
    sentences = [f"{len(plates[0])} photographs, {right} right"]
    for name, other, other_plates in zip(read.names[1:], logits[1:], plates[1:], strict=True):
        same = int((logits[0].view(np.int32) == other.view(np.int32)).all((1, 2)).sum())
        error = float(np.abs(logits[0] - other).max() / np.abs(other).max())
        alike = sum(a == b for a, b in zip(plates[0], other_plates, strict=True))
        sentences.append(
            f"{name}: {same} equal bit for bit, at most {error:.1e} of the largest logit away, "
            f"{alike} texts equal"
        )
    return "; ".join(sentences)


def main() -> None:
    """Compute what is not done yet, then print what all parts say."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("checkpoint", "images", "folder"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--calibration", type=Path)
    parser.add_argument("--quantized", default="static")
    parser.add_argument("--pruned")
    parser.add_argument("--part", type=int, default=20, help="images of one part")
    options = parser.parse_args()
    read = Photographs(options)
    files = images_in(options.images)
    parts = []
    for first in range(0, len(files), options.part):
        done = options.folder / f"{first:05d}.npy"
        if not done.exists():
            found = read.part(read_images(files[first : first + options.part]))
            partly = done.with_suffix(".partial.npy")
            np.save(partly, found)
            partly.rename(done)
        parts.append(np.load(done))
        print(report(parts, [file.stem for file in files], read), flush=True)


if __name__ == "__main__":
    main()
