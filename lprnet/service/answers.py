"""What `POST /v1/read` takes as JSON and answers; the OpenAPI description is made of these."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field

from lprnet.service.reader import Outcome
from lprnet.support.errors import UserError

Confidence = float
"""0 to 1."""


class ReadRequest(BaseModel):
    """Images as JSON."""

    model_config = ConfigDict(extra="forbid")
    images: Annotated[list[str], FailFast()] = Field(description="image files, each in base64")


class Character(BaseModel):
    """One character of a text."""

    text: str
    confidence: Confidence


class Alternative(BaseModel):
    """Another text that may be on the image."""

    text: str
    confidence: Confidence


class ImageAnswer(BaseModel):
    """What one image says. With an error, the rest is empty."""

    text: str | None = None
    confidence: Confidence | None = Field(default=None, description="of the whole text, 0 to 1")
    rejected: bool = Field(
        default=False, description="whether the confidence is too low to be relied on"
    )
    characters: list[Character] = []
    alternatives: list[Alternative] = Field(
        default=[], description="less probable texts, best first"
    )
    error: str | None = Field(default=None, description="why this image is not read")


class ReadAnswer(BaseModel):
    """An answer for each image, in the order of the request."""

    images: list[ImageAnswer]
    milliseconds: float = Field(description="from the whole request to this answer")


class Error(BaseModel):
    """Why a request is refused."""

    detail: str


def image_answer(outcome: Outcome, min_confidence: float) -> ImageAnswer:
    """The answer for one image; a text below `min_confidence` is rejected."""
    if isinstance(outcome, UserError):
        return ImageAnswer(error=str(outcome))
    plate, *others = outcome
    return ImageAnswer(
        text=plate.text,
        confidence=plate.confidence,
        rejected=plate.confidence < min_confidence,
        characters=[Character(text=c.text, confidence=c.confidence) for c in plate.characters],
        alternatives=[Alternative(text=p.text, confidence=p.confidence) for p in others],
    )
