"""Images of all requests, read in batches by a thread a core.

A thread takes what is waiting when it is free, so that a busy service makes large batches. Where
fewer images than a batch are there, the first of them waits a bounded time for others.
"""

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from lprnet.service.limits import Limits
from lprnet.service.metrics import Metrics
from lprnet.service.reader import Image, Job, Outcome, Reader
from lprnet.service.refusal import overloaded

LOOK_AGAIN = 0.01
"""Seconds between two looks at what is left, at the end."""


class Batcher:
    """The queue of a service. Belongs to one event loop, in which `start` was called."""

    def __init__(self, reader: Reader, limits: Limits, metrics: Metrics) -> None:
        """Nothing runs before `start`."""
        self._reader, self._limits, self._metrics = reader, limits, metrics
        self._waiting: deque[Job] = deque()
        self._threads = len(os.sched_getaffinity(0))

    def start(self) -> None:
        """Begin to read what is submitted."""
        self._free = asyncio.Semaphore(self._threads)
        self._arrived = asyncio.Event()
        self._pool = ThreadPoolExecutor(self._threads, "reader")
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run())

    async def stop(self) -> None:
        """End, once everything that was submitted is read."""
        while self._waiting:
            await asyncio.sleep(LOOK_AGAIN)
        for _ in range(self._threads):
            await self._free.acquire()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._pool.shutdown()

    def require_room(self) -> None:
        """Raises `Refusal` (503) where as many images wait as may: a request that finds fewer is
        taken whole.
        """
        if len(self._waiting) >= self._limits.queue:
            raise overloaded(f"{len(self._waiting)} images are waiting already")

    def submit(self, images: Sequence[Image], texts: int) -> list[asyncio.Future[Outcome]]:
        """What will be read of each image, at most `texts` plates. A cancelled one is not read.

        Raises `Refusal` as `require_room`.
        """
        self.require_room()
        now = self._loop.time()
        jobs = [Job(image, texts, now, self._loop.create_future()) for image in images]
        self._waiting.extend(jobs)
        self._metrics.queue.set(len(self._waiting))
        self._arrived.set()
        return [job.outcome for job in jobs]

    async def _run(self) -> None:
        """Give each thread that is free the next batch."""
        while True:
            await self._some()
            await self._free.acquire()
            batch = self._take()
            work = self._loop.run_in_executor(self._pool, self._reader.read, batch)
            work.add_done_callback(partial(self._finish, batch, self._loop.time()))

    async def _some(self) -> None:
        """Return when a batch is full, or when the first image has waited long enough."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        end = self._waiting[0].arrived + self._limits.wait
        while len(self._waiting) < self._limits.batch and (left := end - self._loop.time()) > 0:
            self._arrived.clear()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), left)

    def _take(self) -> list[Job]:
        count = min(len(self._waiting), self._limits.batch)
        batch = [self._waiting.popleft() for _ in range(count)]
        self._metrics.queue.set(len(self._waiting))
        self._metrics.batch.observe(count)
        return batch

    def _finish(
        self,
        batch: Sequence[Job],
        began: float,
        work: asyncio.Future[list[Outcome | None]],
    ) -> None:
        """Hand the outcomes to the requests that still want them."""
        self._free.release()
        self._metrics.batch_seconds.observe(self._loop.time() - began)
        error = work.exception()
        for index, job in enumerate(batch):
            if job.outcome.done():
                self._metrics.images.labels("abandoned").inc()
            elif error is not None:
                job.outcome.set_exception(error)
            else:
                outcome = work.result()[index]
                if outcome is not None:
                    job.outcome.set_result(outcome)
