"""Which images are read together, and when."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest

from lprnet.runtime.decode import Plate
from lprnet.runtime.recognizer import Recognizer
from lprnet.service.batcher import Batcher
from lprnet.service.limits import Limits
from lprnet.service.metrics import Metrics
from lprnet.service.reader import Job, Outcome, Reader
from lprnet.service.refusal import Refusal

IMAGE = b"an image"


class Recorded(Reader):
    """Reads each image as its own bytes; a batch waits until `go`."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.go, self.begun = threading.Event(), threading.Event()
        self.fails = False

    def read(self, jobs: Sequence[Job]) -> list[Outcome | None]:
        self.batches.append([bytes(job.image) for job in jobs])
        self.begun.set()
        assert self.go.wait(60)
        if self.fails:
            raise RuntimeError("a defect")
        return [
            None if job.outcome.cancelled() else (Plate(bytes(job.image).decode(), 1.0, (), ()),)
            for job in jobs
        ]


def run(
    recognizer: Recognizer,
    monkeypatch: pytest.MonkeyPatch,
    limits: Limits,
    use: Callable[[Batcher, Recorded], Awaitable[None]],
) -> list[list[bytes]]:
    """The batches of one thread, while `use` submits images."""
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0})
    reader = Recorded()

    async def all_of_it() -> None:
        batcher = Batcher(reader, limits, Metrics(recognizer.manifest))
        batcher.start()
        try:
            await use(batcher, reader)
        finally:
            reader.go.set()
            await batcher.stop()

    asyncio.run(asyncio.wait_for(all_of_it(), 60))
    return reader.batches


def numbers(first: int, last: int) -> list[bytes]:
    return [str(number).encode() for number in range(first, last)]


def test_what_waits_while_a_thread_works_is_one_batch_next(
    recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(batcher: Batcher, reader: Recorded) -> None:
        waiting = batcher.submit(numbers(0, 1), 1)
        await asyncio.to_thread(reader.begun.wait, 60)
        for number in range(1, 11):
            waiting += batcher.submit(numbers(number, number + 1), 1)
        reader.go.set()
        outcomes = await asyncio.gather(*waiting)
        assert [one[0].text for one in outcomes if isinstance(one, tuple)] == [
            str(number) for number in range(11)
        ]

    batches = run(recognizer, monkeypatch, Limits(batch=8, wait=0), use)
    assert batches == [numbers(0, 1), numbers(1, 9), numbers(9, 11)]


def test_an_image_alone_waits_for_others_but_not_for_ever(
    recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(batcher: Batcher, reader: Recorded) -> None:
        reader.go.set()
        first = batcher.submit(numbers(0, 1), 1)
        await asyncio.sleep(0.01)
        await asyncio.gather(*first, *batcher.submit(numbers(1, 2), 1))
        await asyncio.gather(*batcher.submit(numbers(2, 3), 1))

    batches = run(recognizer, monkeypatch, Limits(batch=2, wait=2), use)
    assert batches == [numbers(0, 2), numbers(2, 3)]


def test_a_full_queue_refuses_requests_and_one_with_room_takes_them_whole(
    recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(batcher: Batcher, reader: Recorded) -> None:
        waiting = batcher.submit([IMAGE], 1)
        await asyncio.to_thread(reader.begun.wait, 60)
        waiting += batcher.submit([IMAGE] * 9, 1)
        waiting += batcher.submit([IMAGE] * 3, 1)
        with pytest.raises(Refusal, match="waiting") as refused:
            batcher.submit([IMAGE], 1)
        assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
        reader.go.set()
        assert len(await asyncio.gather(*waiting)) == 13
        await asyncio.gather(*batcher.submit([IMAGE] * 20, 1))

    run(recognizer, monkeypatch, Limits(queue=10, wait=0), use)


def test_a_defect_fails_its_batch_and_no_other(
    recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(batcher: Batcher, reader: Recorded) -> None:
        reader.fails = True
        reader.go.set()
        with pytest.raises(RuntimeError, match="a defect"):
            await batcher.submit([IMAGE], 1)[0]
        reader.fails = False
        assert await batcher.submit([IMAGE], 1)[0]

    run(recognizer, monkeypatch, Limits(wait=0), use)


def test_to_stop_is_to_finish(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: list[asyncio.Future[Outcome]] = []

    async def use(batcher: Batcher, reader: Recorded) -> None:
        waiting.extend(batcher.submit(numbers(0, 20), 1))
        waiting[3].cancel()

    run(recognizer, monkeypatch, Limits(batch=4, wait=0), use)
    assert [one.cancelled() for one in waiting] == [index == 3 for index in range(20)]
    assert all(one.done() for one in waiting)
