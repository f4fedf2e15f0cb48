"""Tensors of a request of the Open Inference Protocol: in JSON, and in the binary extension.

Binary tensors lie after the JSON of a body, whose length a header states, in the order in which the
JSON names them. An element of BYTES is its length in 4 bytes, little-endian, and its bytes.
https://github.com/kserve/open-inference-protocol, docs/predict-api/http and docs/extensions.
"""

import base64
import binascii
import itertools
import math
import struct
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from lprnet.service.limits import MAX_NAMES
from lprnet.service.refusal import Refusal

HEADER = "Inference-Header-Content-Length"
LENGTH = struct.Struct("<I")
MAX_LISTS = 1 << 20
"""Lists and objects in the JSON of a request, as many as pixels of a body of 16 MiB: empty ones
would take thirty times its bytes."""
MAX_ENTRIES = 16
"""Dimensions, outputs and parameters; of each the protocol has fewer."""

Parameters = Annotated[dict[str, bool | int | float | str], Field(max_length=MAX_ENTRIES)]
"""As the protocol has them."""


class RequestedTensor(BaseModel):
    """An input, or an output that is asked for."""

    name: str
    shape: list[int] = Field([], max_length=MAX_ENTRIES)
    datatype: str = ""
    parameters: Parameters = {}
    data: Any = None


class InferRequest(BaseModel):
    """The JSON of a request."""

    id: str | None = None
    parameters: Parameters = {}
    inputs: list[RequestedTensor] = Field(min_length=1, max_length=1)
    outputs: list[RequestedTensor] = Field([], max_length=MAX_ENTRIES)


@dataclass(frozen=True)
class Input:
    """The one input of a request, and what else the request says."""

    request: InferRequest
    tensor: RequestedTensor
    binary: bytes | None = field(repr=False)
    """Its data, where they are binary."""

    def texts(self) -> list[bytes]:
        """The elements of a BYTES tensor of one dimension; in JSON they are base64."""
        if self.binary is not None:
            elements = list(_split(self.binary))
        elif isinstance(self.tensor.data, list):
            elements = [_from_base64(element) for element in self.tensor.data]
        else:
            raise Refusal(400, f"the input {self.tensor.name} has no data")
        if self.tensor.shape != [len(elements)]:
            raise Refusal(
                400, f"the shape is {self.tensor.shape} and there are {len(elements)} elements"
            )
        return elements

    def bytes_of(self, image: tuple[int, ...]) -> NDArray[np.uint8]:
        """A UINT8 tensor of the shape `(N, *image)`."""
        count, *rest = self.tensor.shape or (0,)
        if tuple(rest) != image or count < 0:
            raise Refusal(400, f"the shape is {self.tensor.shape} instead of {[-1, *image]}")
        if self.binary is not None:
            values = np.frombuffer(self.binary, np.uint8)
        else:
            values = _numbers(self.tensor.data)
        if values.size != count * math.prod(image):
            raise Refusal(400, f"{values.size} elements do not have the shape {self.tensor.shape}")
        return values.reshape(count, *image)


def parse(body: bytes, header: str | None) -> Input:
    """The request in `body`; `header` is the value of `HEADER`. Raises `Refusal` for a bad one."""
    length = len(body)
    if header is not None:
        if not (header.isascii() and header.isdecimal() and int(header[:12]) <= len(body)):
            raise Refusal(400, f"{HEADER} is {header[:20]!r} and the body has {len(body)} bytes")
        length = int(header[:12])
    head = body[:length]
    if head.count(b"[") + head.count(b"{") > MAX_LISTS:
        raise Refusal(400, f"the JSON has over {MAX_LISTS:,} lists; send binary tensors")
    if head.count(b":") > MAX_NAMES:
        raise Refusal(400, f"the JSON has over {MAX_NAMES:,} names")
    try:
        request = InferRequest.model_validate_json(head)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:100]
        raise Refusal(400, f"{place}: {first['msg']}") from error
    tensor = request.inputs[0]
    size = tensor.parameters.get("binary_data_size")
    rest = body[length:]
    if size is None and not rest:
        return Input(request, tensor, None)
    if type(size) is not int or size != len(rest):
        raise Refusal(400, f"binary_data_size is {size!r} and {len(rest)} bytes are there")
    return Input(request, tensor, rest)


def _split(data: bytes) -> list[bytes]:
    elements, place = [], 0
    while place < len(data):
        if place + 4 > len(data):
            raise Refusal(400, "the last element of a BYTES tensor has no length")
        (size,) = LENGTH.unpack_from(data, place)
        place += 4 + size
        if place > len(data):
            raise Refusal(400, "an element of a BYTES tensor ends after the data")
        elements.append(data[place - size : place])
    return elements


def _from_base64(element: object) -> bytes:
    try:
        return base64.b64decode(element if isinstance(element, str) else "?", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(
            400, "an element of a BYTES tensor in JSON is not text in base64; encode the file"
        ) from error


def _numbers(data: object) -> NDArray[np.uint8]:
    """`data`, flat or nested, as bytes. NumPy is given nothing else: of texts of different lengths
    it would make an array as wide as the longest.
    """
    while isinstance(data, list) and data and all(isinstance(part, list) for part in data):
        data = list(itertools.chain.from_iterable(data))
    if not isinstance(data, list):
        raise Refusal(400, "the data are no list")
    try:
        return np.frombuffer(bytes(data), np.uint8)
    except (TypeError, ValueError) as error:
        raise Refusal(400, "the data are not whole numbers from 0 to 255") from error
