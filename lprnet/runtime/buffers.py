"""The memory that calls of an artifact work in: at most one a core, however many threads call."""

import contextlib
import itertools
import math
import mmap
import os
import threading
import weakref
from typing import Any, NamedTuple

import numpy as np

from lprnet.runtime.arrays import NDArray
from lprnet.runtime.artifact import ALIGNMENT
from lprnet.runtime.shared_object import Arguments

HUGE_PAGE = 2 << 20
"""Bytes, on x86-64."""
LOOK_AGAIN = 1.0
"""Seconds until a waiting thread counts the buffers again: of dropped ones nothing tells it."""

Shape = tuple[int, ...]


class Call(NamedTuple):
    """Views of one `Buffers` for calls with a certain number of images."""

    images: NDArray[np.uint8]
    logits: NDArray[np.float32]
    """`(count, classes, positions)`, after the call."""
    arguments: Arguments
    values: tuple[Any, ...]
    """Of `arguments`: one lookup less for each call."""


class Buffers:
    """The memory of one concurrent call."""

    def __init__(self, images: Shape, logits: Shape, classes: int, arena_bytes: int) -> None:
        """For batches of at most the shapes `images`, `(N, H, W, C)` uint8, and `logits`, `(N, 1,
        positions, padded classes)` float32, the first `classes` of which are no padding.
        """
        self.images, self.logits, self.arena = _arrays(
            (images, np.uint8), (logits, np.float32), ((arena_bytes // 4,), np.float32)
        )
        self._classes = classes
        self.calls: dict[int, Call] = {}
        """By number of images, made at first use."""

    def call_of(self, count: int) -> Call:
        """What a call with `count` images takes."""
        images, logits = self.images[:count], self.logits[:count]
        arguments = Arguments(images, logits, self.arena)
        view = logits[:, 0, :, : self._classes].transpose(0, 2, 1)
        return self.calls.setdefault(count, Call(images, view, arguments, arguments.values))


class BufferStack:
    """The buffers of one recognizer. A stack, because those used last are the likeliest to be in a
    cache. A child process after a fork has those that were free.

    A caller tries `free.pop()`, then `take()`; at the end it calls `free.append(buffers)`, then, if
    `waiting`, `wake()`.
    """

    def __init__(self, images: Shape, logits: Shape, classes: int, arena_bytes: int) -> None:
        """As `Buffers`."""
        self.free: list[Buffers] = []
        self._shapes = images, logits, classes, arena_bytes
        self._most = len(os.sched_getaffinity(0))
        self.start_over()
        _LIVING.add(self)

    def start_over(self) -> None:
        """In a child process: forget the parent's threads, which hold buffers, wait, or hold the
        lock.
        """
        # Buffers that a signal's exception drops between two lines are neither free nor in use.
        self._made, self.waiting = weakref.WeakSet(self.free), 0
        # No signal is handled between this lock's acquisition and the body of its `with`, as it is
        # in the methods of a `Condition`.
        self._lock = threading.RLock()
        self._returned = threading.Condition(self._lock)

    def take(self) -> Buffers:
        """New buffers, or, if there are as many as cores, the next that another thread returns."""
        with self._lock:
            self.waiting += 1
            try:
                while True:
                    with contextlib.suppress(IndexError):
                        return self.free.pop()
                    if len(self._made) < self._most:
                        made = Buffers(*self._shapes)
                        self._made.add(made)
                        return made
                    self._returned.wait(LOOK_AGAIN)
            finally:
                self.waiting -= 1
                if self.free and self.waiting:
                    self._returned.notify()

    def wake(self) -> None:
        """Let a waiting thread look for free buffers."""
        with self._lock:
            self._returned.notify()


_LIVING: weakref.WeakSet[BufferStack] = weakref.WeakSet()


def _after_fork() -> None:
    for stack in _LIVING:
        stack.start_over()


os.register_at_fork(after_in_child=_after_fork)


def _arrays(*kinds: tuple[Shape, type[np.generic]]) -> list[NDArray[Any]]:
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
