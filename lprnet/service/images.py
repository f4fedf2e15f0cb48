"""The images of a request: a form's files, or base64 in JSON. Never a path and never a URL."""

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

import pydantic
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from lprnet.service.answers import ReadRequest
from lprnet.service.limits import MAX_NAMES, Limits
from lprnet.service.refusal import Refusal
from lprnet.support.errors import UserError

FIELD = "images"

Image = TypeVar("Image")


async def images_of(request: Request, limits: Limits) -> list[bytes | UserError]:
    """The image files that `request` brings; an error for one that is not base64.

    Raises `Refusal` for another content type, a form or JSON that does not hold 1 to
    `limits.images` images, and a field of another name.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return [*counted(await _of_form(request, limits), limits)]
    if kind == "application/json":
        images = counted(_of_json(await request.body()), limits)
        return [_from_base64(image) for image in images]
    raise Refusal(
        415, "send images as files of a multipart/form-data form, or in base64 as application/json"
    )


def counted(images: Sequence[Image], limits: Limits) -> Sequence[Image]:
    """`images`, if they are not too few or too many; else raises `Refusal`."""
    if not 1 <= len(images) <= limits.images:
        raise Refusal(
            400, f"there are {len(images)} images; send 1 to {limits.images} in a request"
        )
    return images


async def _of_form(request: Request, limits: Limits) -> list[bytes]:
    most = limits.images + 1  # so that `counted` finds them too many
    parser = MultiPartParser(request.headers, request.stream(), max_files=most, max_fields=0)
    parser.spool_max_size = limits.body_bytes  # no file is written
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refusal(400, f"the form is not understood: {error.message}") from error
    images = []
    for name, value in form.multi_items():
        if name != FIELD or not isinstance(value, UploadFile):
            raise Refusal(400, f"the form has another field than files named {FIELD}")
        images.append(await value.read())
    return images


def _of_json(body: bytes) -> list[str]:
    if body.count(b":") > MAX_NAMES:
        raise Refusal(400, f"the JSON has over {MAX_NAMES:,} names")
    try:
        return ReadRequest.model_validate_json(body).images
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:100] or "the body"
        raise Refusal(400, f'{place}: {first["msg"]}; send {{"images": ["<base64>"]}}') from error


def _from_base64(text: str) -> bytes | UserError:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return UserError("the image is not in base64; encode the bytes of its file")
