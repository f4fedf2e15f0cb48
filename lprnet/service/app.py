"""The service as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

import lprnet
from lprnet.runtime.recognizer import Recognizer
from lprnet.service import page_files, v1, v2
from lprnet.service.balance import Balance
from lprnet.service.batcher import Batcher
from lprnet.service.bounds import Bounds
from lprnet.service.limits import Limits
from lprnet.service.metrics import Metrics
from lprnet.service.read import Service
from lprnet.service.reader import Reader
from lprnet.service.refusal import Refusal, answer

OPEN = frozenset({*page_files.FILES, "/v2/health/live", "/v2/health/ready"})
"""What a token is not asked for: the page, which has nothing of the user's, and probes."""
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def application(
    recognizer: Recognizer,
    limits: Limits,
    *,
    token: bytes | None = None,
    min_confidence: float = 0.0,
    grammar: bool | None = None,
    rows: str = "1",
    balance: Balance | None = None,
) -> Bounds:
    """The service of one recognizer. Where `token` is given, requests must bring it; `grammar` and
    `rows` are as in `Reader`, `balance` as in `Bounds`.
    """
    metrics = Metrics(recognizer.manifest)
    batcher = Batcher(Reader(recognizer, limits.max_pixels, grammar, rows), limits, metrics)
    service = Service(batcher, limits, metrics, min_confidence)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        yield
        await batcher.stop()

    app = FastAPI(
        title="lprnet-tvm",
        summary="Reads licence plates on images that are cropped to them",
        version=lprnet.__version__,
        lifespan=lifespan,
        docs_url=None,  # these pages load scripts from another server
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(v1.router(service))
    app.include_router(v2.router(service, recognizer.manifest))
    app.include_router(page_files.router())

    @app.get("/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        return Response(metrics.text(), headers={"Content-Type": PROMETHEUS})

    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        return answer(refusal, request.url.path)

    @app.exception_handler(HTTPException)
    async def no_such_route(request: Request, error: HTTPException) -> Response:
        return answer(Refusal(error.status_code, error.detail, error.headers), request.url.path)

    return Bounds(app, limits, metrics, token, OPEN, balance)
