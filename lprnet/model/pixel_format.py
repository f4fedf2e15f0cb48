"""What an LPRNet was trained to read of an image: order of channels, normalisation, fit."""

from dataclasses import dataclass

MAX_OFFSET = 1e4
"""Far beyond any pixel; still larger ones leave nothing of the pixels in float32."""
MIN_SCALE, MAX_SCALE = 1e-6, 1e3
"""Of magnitudes; usual are 1/255 to 1. Others make weights zero or infinite in float32."""


@dataclass(frozen=True)
class Preprocessing:
    """What the network reads of an image: pixels p as `(p - offset) * scale`, one number for all
    channels or one a channel, in `order`.
    """

    order: str = "bgr"
    """`bgr` or `rgb`: of the channels of a colour image, and of `offset` and `scale`."""
    offset: tuple[float, ...] = (127.5,)
    scale: tuple[float, ...] = (1 / 128,)
    fit: str = "stretch"
    """How an image of another size is made to fit: `stretch`, or `letterbox`, which keeps its
    proportions and fills the rest.
    """
    border: int = 0
    """The value, 0 to 255, of the pixels around a letterboxed image."""

    def __post_init__(self) -> None:
        """Raises `ValueError` for a value that means nothing."""
        if self.order not in ("bgr", "rgb"):
            raise ValueError(f"the order of channels is {self.order!r}, neither bgr nor rgb")
        if self.fit not in ("stretch", "letterbox"):
            raise ValueError(f"the fit is {self.fit!r}, neither stretch nor letterbox")
        if not 0 <= self.border <= 255:
            raise ValueError(f"the border is {self.border}, no pixel from 0 to 255")
        if not {len(self.offset), len(self.scale)} <= {1, 3}:
            raise ValueError("offset and scale are one number, or three")
        for offset in self.offset:
            if not abs(offset) <= MAX_OFFSET:  # nor NaN
                raise ValueError(
                    f"the offset {offset:g} is out of range; give {-MAX_OFFSET:g} to "
                    f"{MAX_OFFSET:g}, for pixels from 0 to 255"
                )
        for scale in self.scale:
            if not MIN_SCALE <= abs(scale) <= MAX_SCALE:
                raise ValueError(
                    f"the scale {scale:g} is out of range; give {MIN_SCALE:g} to {MAX_SCALE:g}, or "
                    "the negative of that, for pixels from 0 to 255"
                )

    def check_channels(self, channels: int) -> None:
        """Raise `ValueError` unless images of so many channels can be normalised so."""
        if not {len(self.offset), len(self.scale)} <= {1, channels}:
            raise ValueError("its offset and scale have one number, or one for each channel")
        if channels == 1 and self.order != "bgr":
            raise ValueError(
                "it reads grey images, which have no order of colours; leave out the order "
                f"{self.order} (--channels or --architecture)"
            )
