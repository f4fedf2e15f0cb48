"""The Open Inference Protocol, version 2: `/v2/...`, as KServe, Triton and their clients speak it.

There are two models, which differ in what they take: `lprnet` image files, `lprnet-pixels` pixels
of the size that the network reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

import lprnet
from lprnet.runtime.manifest import Manifest
from lprnet.service.images import counted
from lprnet.service.read import Service
from lprnet.service.reader import Image, Outcome
from lprnet.service.refusal import Refusal
from lprnet.service.tensor_answer import Output, render
from lprnet.service.tensor_request import HEADER, InferRequest, Input, parse
from lprnet.support.errors import UserError

VERSION = "1"
"""The one version of each model."""
BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": InferRequest.model_json_schema()}},
    }
}
OUTPUTS = (("text", "BYTES"), ("confidence", "FP32"), ("rejected", "BOOL"), ("error", "BYTES"))


class Error(BaseModel):
    """Why a request is refused."""

    error: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Error, "description": what}
    for status, what in {
        400: "a tensor that is not understood",
        401: "no token, or a wrong one",
        404: "no such model",
        408: "the body came too slowly",
        413: "the body is too large",
        503: "too busy; ask again after Retry-After",
    }.items()
}


@dataclass(frozen=True)
class Model:
    """A model: its one input."""

    name: str
    input: str
    datatype: str
    image: tuple[int, ...]
    """What follows the number of images in the input's shape."""

    def metadata(self) -> dict[str, Any]:
        """As the protocol wants it."""
        return {
            "name": self.name,
            "versions": [VERSION],
            "platform": "lprnet-tvm",
            "inputs": [{"name": self.input, "datatype": self.datatype, "shape": [-1, *self.image]}],
            "outputs": [
                {"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in OUTPUTS
            ],
        }

    def images(self, given: Input) -> Sequence[Image]:
        """What a request brings. Raises `Refusal` for another input than this model's."""
        if (given.tensor.name, given.tensor.datatype) != (self.input, self.datatype):
            raise Refusal(400, f"{self.name} takes the input {self.input} of {self.datatype}")
        return given.texts() if self.datatype == "BYTES" else list(given.bytes_of(self.image))


def router(service: Service, manifest: Manifest) -> APIRouter:
    """The routes of the protocol."""
    shape = manifest.image.shape
    known = (
        Model("lprnet", "images", "BYTES", ()),
        Model("lprnet-pixels", "pixels", "UINT8", shape),
    )
    models = {model.name: model for model in known}
    routes = APIRouter(prefix="/v2", responses=REFUSALS)

    def find(name: str, version: str = VERSION) -> Model:
        if name not in models or version != VERSION:
            raise Refusal(404, f"the models are {' and '.join(models)}, version {VERSION}")
        return models[name]

    @routes.get("")
    async def server() -> dict[str, Any]:
        """Name, version and extensions of the server."""
        extensions = ["binary_tensor_data"]
        return {"name": "lprnet-tvm", "version": lprnet.__version__, "extensions": extensions}

    @routes.get("/health/live")
    async def live() -> dict[str, bool]:
        """Whether the server answers."""
        return {"live": True}

    @routes.get("/health/ready")
    async def ready() -> dict[str, bool]:
        """Whether it reads plates: it answers only once the artifact is loaded."""
        return {"ready": True}

    @routes.get("/models/{name}")
    @routes.get("/models/{name}/versions/{version}")
    async def metadata(name: str, version: str = VERSION) -> dict[str, Any]:
        """Inputs and outputs of a model."""
        return find(name, version).metadata()

    @routes.get("/models/{name}/ready")
    @routes.get("/models/{name}/versions/{version}/ready")
    async def model_ready(name: str, version: str = VERSION) -> dict[str, Any]:
        """Whether a model is there."""
        return {"name": find(name, version).name, "ready": True}

    @routes.post("/models/{name}/infer", openapi_extra=BODY)
    @routes.post("/models/{name}/versions/{version}/infer", openapi_extra=BODY)
    async def infer(request: Request, name: str, version: str = VERSION) -> Response:
        """Read the plates on a tensor of images."""
        model = find(name, version)
        service.batcher.require_room()
        given = parse(await request.body(), request.headers.get(HEADER))
        images = counted(model.images(given), service.limits)
        given.tensor.data = None  # as objects of Python they take ten times the bytes of the body
        outcomes = await service.read(request, images)
        body, headers = render(
            given, model.name, VERSION, _outputs(outcomes, service.min_confidence)
        )
        return Response(body, headers=headers)

    return routes


def _outputs(outcomes: Sequence[Outcome], min_confidence: float) -> list[Output]:
    """In the order of `OUTPUTS`; an image that is not read has an empty text."""
    errors = [str(one) if isinstance(one, UserError) else "" for one in outcomes]
    plates = [None if isinstance(one, UserError) else one[0] for one in outcomes]
    texts = [plate.text if plate else "" for plate in plates]
    confidences = [plate.confidence if plate else 0.0 for plate in plates]
    rejected = [bool(plate and plate.confidence < min_confidence) for plate in plates]
    values: tuple[Sequence[Any], ...] = (texts, confidences, rejected, errors)
    return [Output(*named, one) for named, one in zip(OUTPUTS, values, strict=True)]
