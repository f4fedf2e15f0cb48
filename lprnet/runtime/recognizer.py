"""Runs an artifact: images to logits or plates, with apache-tvm-ffi, NumPy and OpenCV only.

One call of the artifact runs a whole batch on one thread. Vector loads are fastest if they cross no
cache line, so images are copied into aligned buffers; each concurrent call has its own.
"""

import math
import os
import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lprnet.runtime.arrays import NDArray
from lprnet.runtime.artifact import Artifact, best_version, load, read_artifact, version_for
from lprnet.runtime.buffers import BufferStack
from lprnet.runtime.decode import Plate, plates_of, read_texts, uses_grammar
from lprnet.runtime.late_import import image_io, thread_pool
from lprnet.runtime.manifest import Manifest, TargetVersion
from lprnet.runtime.shared_object import raised_message
from lprnet.runtime.text_columns import TextColumns
from lprnet.support.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

UINT8 = np.dtype(np.uint8)
Image = str | os.PathLike[str] | bytes | NDArray[np.uint8]
"""The types that `Recognizer.read` accepts."""
BATCH = 64
"""Most images in one call of the artifact: Python's share of the time is small, and memory too."""


class Recognizer:
    """Reads plates with one artifact. Safe to share between threads, and usable after a fork.

    `threads` is how many cores one call may use for a batch. `target_version` is the one of the
    artifact's versions that it runs. Pickled, it is the path of its artifact: the other process
    loads that file, and raises `UserError` where it is another one by then.
    """

    def __init__(
        self,
        artifact: str | os.PathLike[str] | Artifact,
        threads: int = 1,
        target: str | None = None,
    ) -> None:
        """Load `artifact` (a `.so` with its manifest beside it).

        Runs the version for `target`, or, if that is None, the most demanding one that this CPU can
        run. Raises `UserError` if the artifact is missing, altered, or built for another CPU.
        """
        if threads < 1:
            raise UserError(f"threads is {threads}; a recognizer needs at least one.")
        if not isinstance(artifact, (str, os.PathLike, Artifact)):
            raise UserError(f"an artifact is the path of a .so, not {type(artifact).__name__}.")
        whole = artifact if isinstance(artifact, Artifact) else read_artifact(artifact)
        code = load(whole)
        self.manifest: Manifest = whole.manifest
        if target is None:
            self.target_version: TargetVersion = best_version(whole, code)
            self._run = code.function("run")
        else:
            self.target_version = version_for(whole, code, target)
            self._run = code.function(self.target_version.function)
        self._image_shape = self.manifest.image.shape
        self._one_image = (1, *self._image_shape)
        version, classes = self.target_version, self.manifest.alphabet.classes
        images, logits = (BATCH, *self._image_shape), (BATCH, *version.logits_shape)
        self._buffers = BufferStack(images, logits, classes, version.arena_bytes)
        self._free = self._buffers.free
        self._threads = threads
        self._path, self._target = os.path.join(os.getcwd(), whole.file), target
        self.start_over()
        _LIVING.add(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _same, (self._path, self.manifest.artifact_sha256, self._threads, self._target)

    def start_over(self) -> None:
        """In a child process: it has none of the parent's threads."""
        self._pool = thread_pool(self._threads) if self._threads > 1 else None

    def logits(self, images: "ArrayLike") -> NDArray[np.float32]:
        """`(N, H, W, C)` uint8, as `manifest.image` says, to `(N, classes, positions)` float32.

        Raises `UserError` for any other array.
        """
        batch = images if type(images) is np.ndarray else _as_array(images)
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
        parts = list(self._map(chunks))
        positions = self.target_version.logits_shape[1]
        empty = (0, self.manifest.alphabet.classes, positions)
        return np.concatenate(parts) if parts else np.empty(empty, np.float32)

    def _map(self, chunks: Sequence[NDArray[np.uint8]]) -> Iterable[NDArray[np.float32]]:
        """The logits of each chunk, in order."""
        if self._pool is not None:
            try:
                return self._pool.map(self._logits, chunks)
            except RuntimeError:  # the interpreter ends, or the system has no thread left
                pass
        return map(self._logits, chunks)

    def read(
        self,
        image: Image,
        *,
        grammar: bool | None = None,
        max_pixels: int | None = None,
        rows: str = "1",
    ) -> Plate:
        """The plate on one image: a file by its path, the bytes of an image file, or uint8 pixels
        `(H, W, 3)` BGR of any size.

        `grammar` is as in `plates`; `rows` says how many rows the plate has: "1", "2" or, by the
        shape of the image, "auto". A file of more than `max_pixels` (16 million) is refused. Raises
        `UserError` for a bad one.
        """
        return self.read_many([image], grammar=grammar, max_pixels=max_pixels, rows=rows)[0]

    def read_many(
        self,
        images: Sequence[Image],
        *,
        grammar: bool | None = None,
        max_pixels: int | None = None,
        rows: str = "1",
    ) -> list[Plate]:
        """The plates on many images, in their order, each as `read` finds it. Raises `UserError` at
        the first bad one.
        """
        if _is_one_image(images):
            raise UserError("read_many takes a list of images; give one image to read")
        io = image_io()
        limit = io.MAX_PIXELS if max_pixels is None else max_pixels
        pixels = [io.as_pixels(image, limit, self.manifest.image, rows) for image in images]
        if not pixels:
            return []
        return [plate for plate, *_ in self.plates(self.logits(np.stack(pixels)), grammar=grammar)]

    def plates(
        self, logits: NDArray[np.float32], top: int = 1, *, grammar: bool | None = None
    ) -> list[list[Plate]]:
        """`(N, classes, positions)` logits to N lists of at most `top` plates, best first, their
        confidences calibrated as the manifest says.

        `grammar` says whether the grammar of the artifact's alphabet is used: None, if it has one.
        Raises `UserError` for True where it has none.
        """
        read = self.texts(logits, top, grammar=grammar)
        return plates_of(read, len(logits), self.manifest.alphabet)

    def texts(
        self, logits: NDArray[np.float32], top: int = 1, *, grammar: bool | None = None
    ) -> TextColumns:
        """What `plates` finds, as columns. Raises as it does."""
        alphabet, confidence = self.manifest.alphabet, self.manifest.confidence
        read = read_texts(logits, top, uses_grammar(alphabet, grammar), alphabet)
        if confidence is None:
            return read
        return read._replace(confidences=confidence.confidences(read.confidences))

    def _logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """At most `BATCH` images in one call of the artifact."""
        try:
            buffers = self._free.pop()
        except IndexError:
            buffers = self._buffers.take()
        try:
            call = buffers.calls.get(len(images)) or buffers.call_of(len(images))
            call.images[:] = images
            if self._run(*call.values):
                raise RuntimeError(raised_message())
            # In the order of the artifact, classes innermost: another one takes twice the time.
            logits: NDArray[np.float32] = call.logits.copy("K")
            return logits
        finally:
            self._free.append(buffers)
            if self._buffers.waiting:
                self._buffers.wake()


def _same(path: str, sha256: str, threads: int, target: str | None) -> Recognizer:
    """A recognizer that was pickled in another process."""
    artifact = read_artifact(path)
    if artifact.manifest.artifact_sha256 != sha256:
        raise UserError(
            f"{path}: was replaced after the recognizer that was sent to this process had loaded "
            "it; make a new one."
        )
    return Recognizer(artifact, threads, target)


def _as_array(images: "ArrayLike") -> NDArray[Any]:
    """`images` as an array of any shape. Raises `UserError` where they have none."""
    try:
        return np.asarray(images)
    except ValueError as error:
        raise UserError("images have no common shape; give one array of uint8.") from error


def _is_one_image(images: object) -> bool:
    """Whether they are one image or nothing of the kind, rather than several."""
    if isinstance(images, np.ndarray):
        return images.ndim == 3 and images.dtype == UINT8
    one = (str, bytes, bytearray, memoryview, os.PathLike)
    return isinstance(images, one) or not isinstance(images, Iterable)


_LIVING: weakref.WeakSet[Recognizer] = weakref.WeakSet()


def _after_fork() -> None:
    for recognizer in _LIVING:
        recognizer.start_over()


os.register_at_fork(after_in_child=_after_fork)
