"""Every refusal: a status and one sentence, in the form that its protocol has for errors."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

RETRY_AFTER = {"Retry-After": "1"}


class Refusal(Exception):
    """A request that is answered with an error; the message says what to do."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        """`status` is HTTP's."""
        super().__init__(message)
        self.status, self.headers = status, headers


def overloaded(what: str) -> Refusal:
    """503: a client may ask again."""
    return Refusal(503, f"{what}; ask again later", RETRY_AFTER)


def answer(refusal: Refusal, path: str) -> JSONResponse:
    """The answer to a request of `path`: the Open Inference Protocol calls its sentence `error`,
    FastAPI `detail`.
    """
    key = "error" if path.startswith("/v2") else "detail"
    return JSONResponse({key: str(refusal)}, refusal.status, refusal.headers)
