"""Images of a request to the outcome of each, as long as its client waits for it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from lprnet.service.batcher import Batcher
from lprnet.service.limits import Limits
from lprnet.service.metrics import Metrics
from lprnet.service.reader import Image, Outcome
from lprnet.service.refusal import Refusal
from lprnet.support.errors import UserError


@dataclass(frozen=True)
class Service:
    """What both protocols work with."""

    batcher: Batcher
    limits: Limits
    metrics: Metrics
    min_confidence: float

    async def read(
        self, request: Request, images: Sequence[Image | UserError], texts: int = 1
    ) -> list[Outcome]:
        """The outcome of each of `images`; an error stays as it is.

        Raises `Refusal` if the queue is full, or if the client went away, whose images are then not
        read.
        """
        waiting = self.batcher.submit(
            [image for image in images if not isinstance(image, UserError)], texts
        )
        found = iter(await _unless_gone(request, waiting))
        outcomes = [image if isinstance(image, UserError) else next(found) for image in images]
        for outcome in outcomes:
            self.metrics.images.labels(self._name(outcome)).inc()
        return outcomes

    def _name(self, outcome: Outcome) -> str:
        if isinstance(outcome, UserError):
            return "error"
        return "rejected" if outcome[0].confidence < self.min_confidence else "read"


async def _unless_gone(
    request: Request, waiting: Sequence[asyncio.Future[Outcome]]
) -> list[Outcome]:
    """The outcomes, unless the client goes away before; then, and if this is cancelled, all that
    are not there yet are cancelled.
    """
    outcomes = asyncio.gather(*waiting)
    gone = asyncio.ensure_future(request.receive())  # after the body comes http.disconnect alone
    gone.add_done_callback(lambda _: outcomes.cancel())
    try:
        return await outcomes
    except asyncio.CancelledError:
        if gone.done():
            raise Refusal(499, "the client went away") from None
        raise
    finally:
        gone.cancel()
