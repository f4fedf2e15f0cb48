"""What the network sees of a pixel p: `(p - OFFSET) * SCALE`, as in the public checkpoint."""

OFFSET = 127.5
SCALE = 1 / 128
