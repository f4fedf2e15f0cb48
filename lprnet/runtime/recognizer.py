"""Runs an artifact: images to logits or plates, with apache-tvm-ffi, NumPy and OpenCV only.

One call of the artifact runs a whole batch on one thread. Vector loads are fastest if they cross no
cache line, so images are copied into aligned buffers; each concurrent call has its own.
"""

import contextlib
import itertools
import math
import mmap
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from lprnet.runtime.artifact import ALIGNMENT, Manifest, TargetVersion, verify, version_for
from lprnet.runtime.decode import Plate, greedy
from lprnet.support.errors import UserError

HUGE_PAGE = 2 << 20
"""Bytes, on x86-64."""
UINT8 = np.dtype(np.uint8)
Image = str | os.PathLike[str] | bytes | NDArray[np.uint8]
"""The types that `Recognizer.read` accepts."""
BATCH = 64
"""Most images in one call of the artifact: Python's share of the time is small, and memory too."""


@dataclass(frozen=True, slots=True)
class _Call:
    """Views of one `_Buffers` for calls with a certain number of images."""

    images: NDArray[np.uint8]
    arguments: tuple[Any, ...]
    """Arguments of the artifact's function, as TVM's tensors."""
    logits: NDArray[np.float32]
    """`(count, classes, positions)`, after the call."""


@dataclass(frozen=True, slots=True)
class _Buffers:
    """The memory of one concurrent call."""

    images: NDArray[np.uint8]
    logits: NDArray[np.float32]
    arena: NDArray[np.float32]
    calls: dict[int, _Call]
    """By number of images, made at first use."""


class Recognizer:
    """Reads plates with one artifact. Safe to share between threads.

    `threads` is how many cores one call may use for a batch. `target_version` is the one of the
    artifact's versions that it runs.
    """

    def __init__(
        self, artifact: str | os.PathLike[str], threads: int = 1, target: str | None = None
    ) -> None:
        """Load `artifact` (a `.so` with its manifest beside it).

        Runs the version for `target`, or, if that is None, the most demanding one that this CPU can
        run. Raises `UserError` if the artifact is missing, altered, or built for another CPU.
        """
        if threads < 1:
            raise UserError(f"threads is {threads}; a recognizer needs at least one.")
        path = Path(artifact)
        self.manifest: Manifest = verify(path)
        ffi = _tvm_ffi()
        self._from_dlpack: Callable[[Any], Any] = ffi.from_dlpack
        module = ffi.load_module(str(path.resolve()))
        if target is None:
            self.target_version: TargetVersion = self.manifest.codes[module.get_function("code")()]
            self._run = module.get_function("run")
        else:
            self.target_version = version_for(path, self.manifest, target)
            self._run = module.get_function(self.target_version.function)
        self._free: list[_Buffers] = []
        """A stack, because the buffers used last are the most likely to be in a cache."""
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._image_shape = self.manifest.image.shape
        self._one_image = (1, *self._image_shape)

    def logits(self, images: ArrayLike) -> NDArray[np.float32]:
        """`(N, H, W, C)` uint8, the manifest's `image`, to `(N, classes, positions)` float32.

        Raises `UserError` for other images.
        """
        batch = images if type(images) is np.ndarray else np.asarray(images)
        # A call of the artifact evicts everything else from the caches, so for one image the path
        # through Python touches as few objects as possible.
        if batch.shape == self._one_image and batch.dtype == UINT8:
            return self._logits(batch)
        if batch.shape[1:] != self._image_shape or batch.dtype != UINT8:
            raise UserError(
                f"images have shape {batch.shape} and dtype {batch.dtype}; expected uint8 "
                f"(N, {', '.join(map(str, self._image_shape))}), {self.manifest.image.colours}."
            )
        size = min(BATCH, max(1, math.ceil(len(batch) / self._threads)))
        if 0 < len(batch) <= size:
            return self._logits(batch)
        chunks = [batch[start : start + size] for start in range(0, len(batch), size)]
        run = map if self._pool is None else self._pool.map
        parts = list(run(self._logits, chunks))
        _, positions, _ = self.target_version.logits_shape
        nothing = np.empty((0, self.manifest.alphabet.classes, positions), np.float32)
        return np.concatenate(parts) if parts else nothing

    def read(self, image: Image, *, max_pixels: int | None = None) -> Plate:
        """The plate on one image: a file by its path, the bytes of an image file, or uint8 pixels
        `(H, W, 3)` BGR of any size.

        A file of more than `max_pixels` (16 million) is refused. Raises `UserError` for a bad one.
        """
        return self.read_many([image], max_pixels=max_pixels)[0]

    def read_many(self, images: Sequence[Image], *, max_pixels: int | None = None) -> list[Plate]:
        """The plates on many images, in their order. Raises `UserError` at the first bad one."""
        from lprnet.runtime.image_io import MAX_PIXELS, as_pixels

        if images is None or isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike)):
            raise UserError("read_many takes a list of images; give one image to read")
        limit = MAX_PIXELS if max_pixels is None else max_pixels
        pixels = [as_pixels(image, limit, self.manifest.image) for image in images]
        if not pixels:
            return []
        return greedy(self.logits(np.stack(pixels)), self.manifest.alphabet)

    def _logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """At most `BATCH` images in one call of the artifact."""
        try:
            buffers = self._free.pop()
        except IndexError:
            buffers = self._new_buffers()
        try:
            call = buffers.calls.get(len(images)) or self._new_call(buffers, len(images))
            call.images[:] = images
            self._run(*call.arguments)
            logits: NDArray[np.float32] = call.logits.copy()
            return logits
        finally:
            self._free.append(buffers)

    def _new_call(self, buffers: _Buffers, count: int) -> _Call:
        images, logits = buffers.images[:count], buffers.logits[:count]
        classes = self.manifest.alphabet.classes
        arguments = tuple(self._from_dlpack(array) for array in (images, logits, buffers.arena))
        call = _Call(images, arguments, logits[:, 0, :, :classes].transpose(0, 2, 1))
        buffers.calls[count] = call
        return call

    def _new_buffers(self) -> _Buffers:
        images, logits, arena = _arrays(
            ((BATCH, *self._image_shape), np.uint8),
            ((BATCH, *self.target_version.logits_shape), np.float32),
            ((self.target_version.arena_bytes // 4,), np.float32),
        )
        return _Buffers(images, logits, arena, {})


def _arrays(*kinds: tuple[tuple[int, ...], DTypeLike]) -> list[NDArray[Any]]:
    """Zeros of these shapes and dtypes in one memory, each aligned to 64 bytes.

    A call touches hundreds of small pages, more than the TLB of a core holds, but few huge pages.
    So Linux is asked for huge pages, which it may not have.
    """
    sizes = [math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in kinds]
    starts = [0, *itertools.accumulate(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes)]
    length = -(-starts[-1] // HUGE_PAGE) * HUGE_PAGE + HUGE_PAGE
    mapping = mmap.mmap(-1, length, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):
        mapping.madvise(mmap.MADV_HUGEPAGE)
    memory = np.frombuffer(mapping, np.uint8)
    memory = memory[-memory.ctypes.data % HUGE_PAGE :]
    return [
        memory[start : start + size].view(dtype).reshape(shape)
        for start, size, (shape, dtype) in zip(starts, sizes, kinds, strict=False)
    ]


def _tvm_ffi() -> Any:
    """Import `tvm_ffi` without torch, which it imports if torch is installed.

    Torch is not needed and takes seconds to load. So it is hidden while `tvm_ffi` is imported,
    unless one of the two is loaded already.
    """
    hide_torch = "torch" not in sys.modules and "tvm_ffi" not in sys.modules
    if hide_torch:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        import tvm_ffi
    finally:
        if hide_torch:
            del sys.modules["torch"]
    return tvm_ffi
