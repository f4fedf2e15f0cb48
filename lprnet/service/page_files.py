"""The page at `/`: three files of this package, read once. Nothing else on the disk is served."""

from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}


def router() -> APIRouter:
    """A route for each file."""
    routes = APIRouter(include_in_schema=False)
    for path, (name, kind) in FILES.items():
        routes.add_api_route(path, _file(name, kind), response_model=None)
    return routes


def _file(name: str, kind: str) -> Callable[[], Awaitable[Response]]:
    content = files("lprnet.service").joinpath("page").joinpath(name).read_bytes()

    async def file() -> Response:
        return Response(content, media_type=kind, headers=HEADERS)

    return file
