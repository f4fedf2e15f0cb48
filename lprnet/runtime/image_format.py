"""The pixels that a network reads: what an image of any size is made to be."""

from functools import cached_property

from lprnet.runtime.record import record


@record(frozen=True)
class ImageFormat:
    """Height, width and channels of a network's image, uint8, and how others come to them.

    Raises `ValueError` for a format that means nothing.
    """

    height: int = 24
    width: int = 94
    channels: int = 3
    """3: blue, green, red; 1: grey."""
    fit: str = "stretch"
    """`stretch`, or `letterbox`, which keeps the proportions, centres, and fills the rest."""
    border: int = 0
    """The value, 0 to 255, of the pixels around a letterboxed image."""

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1 or self.channels not in (1, 3):
            raise ValueError(f"images of shape {self.shape} are none of one or three channels")
        if self.fit not in ("stretch", "letterbox") or not 0 <= self.border <= 255:
            raise ValueError(f"the fit {self.fit!r} with a border of {self.border} is not known")

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Of one image's array: rows, columns, channels."""
        return self.height, self.width, self.channels

    @property
    def colours(self) -> str:
        """What the channels are, for a message."""
        return "BGR" if self.channels == 3 else "grey"


PUBLISHED = ImageFormat()
"""The published network's."""
