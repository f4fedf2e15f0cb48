"""`POST /v1/read`: plates on one or many images."""

from time import monotonic
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from lprnet.service.answers import Error, ReadAnswer, ReadRequest, image_answer
from lprnet.service.images import FIELD, images_of
from lprnet.service.read import Service

MAX_ALTERNATIVES = 9
FORM = {
    "type": "object",
    "required": [FIELD],
    "additionalProperties": False,
    "properties": {
        FIELD: {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
    },
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": FORM},
            "application/json": {"schema": ReadRequest.model_json_schema()},
        },
    }
}
REFUSALS = {
    400: "no images, too many, or a body that is not understood",
    401: "no token, or a wrong one",
    408: "the body came too slowly",
    413: "the body is too large",
    415: "neither a form nor JSON",
    503: "too busy; ask again after Retry-After",
}


def router(service: Service) -> APIRouter:
    """The routes of version 1."""
    routes = APIRouter(prefix="/v1")

    @routes.post(
        "/read",
        response_model=ReadAnswer,
        responses={
            status: {"model": Error, "description": what} for status, what in REFUSALS.items()
        },
        openapi_extra=BODY,
    )
    async def read(
        request: Request, alternatives: Annotated[int, Query(ge=0, le=MAX_ALTERNATIVES)] = 0
    ) -> Response:
        """Read the plates on images, each cropped to its plate. A bad image is its own error."""
        began = monotonic()
        service.batcher.require_room()  # before the work of looking into the body
        images = await images_of(request, service.limits)
        outcomes = await service.read(request, images, 1 + alternatives)
        answer = ReadAnswer(
            images=[image_answer(one, service.min_confidence) for one in outcomes],
            milliseconds=round(1000 * (monotonic() - began), 3),
        )
        return Response(answer.model_dump_json(), media_type="application/json")

    return routes
