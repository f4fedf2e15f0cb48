"""What the service takes at most; everything is bounded."""

from dataclasses import dataclass, replace

from lprnet.runtime.image_io import MAX_PIXELS

MAX_NAMES = 10_000
"""Colons in a JSON, behind the names in it. For each name that is wrong an error is made, a hundred
times its bytes, though only the first is answered."""


@dataclass(frozen=True)
class Limits:
    """The bounds of one service."""

    images: int = 64
    """In one request."""
    body_bytes: int = 16 << 20
    """Of one request."""
    queue: int = 512
    """Where so many images wait to be read, of all requests together, no request is taken."""
    batch: int = 32
    """Images that one thread reads at once."""
    wait: float = 0.0
    """Seconds that an image waits for others to be read with, where a thread is free. While none is
    free, others gather by themselves."""
    seconds: float = 10.0
    """For one request, from its first byte to the last of its answer."""
    max_pixels: int = MAX_PIXELS
    """As in `lprnet/runtime/image_io.py`."""
    connections: int = 512

    def divided(self, processes: int) -> "Limits":
        """Those of one of so many processes, which have queue and connections of their own."""
        return replace(
            self,
            queue=max(1, self.queue // processes),
            connections=max(1, self.connections // processes),
        )

    @property
    def held_bytes(self) -> int:
        """Bytes of all bodies that are in memory together."""
        return 16 * self.body_bytes
