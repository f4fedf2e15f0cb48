"""Layers on one core of a Xeon with AMX, in microseconds: kernels in C with the pipeline of
`schedules/amx/conv2d.py`, each alone, the least of many calls.
"""

Layer = tuple[int, int, int, int, int, int]
"""Height and width of the output, stored input channels, window, output channels."""

INT8: dict[Layer, float] = {
    (22, 92, 12, 1, 3, 32): 3.26,
    (20, 90, 32, 1, 1, 32): 2.58,
    (20, 90, 32, 3, 1, 31): 3.96,
    (20, 90, 32, 1, 3, 32): 3.83,
    (20, 90, 32, 1, 1, 77): 6.68,
    (18, 44, 64, 1, 1, 24): 1.32,
    (18, 44, 32, 3, 1, 24): 1.83,
    (18, 44, 32, 1, 3, 24): 1.74,
    (18, 44, 32, 1, 1, 16): 0.62,
    (18, 44, 16, 1, 1, 8): 0.62,
    (18, 44, 16, 3, 1, 16): 1.08,
    (18, 44, 16, 1, 3, 32): 1.31,
    (18, 44, 32, 1, 1, 21): 1.18,
    (16, 18, 32, 1, 4, 39): 1.37,
    (4, 18, 64, 13, 1, 48): 1.75,
}
"""Of the public checkpoint's structured int8 network."""
BF16: dict[Layer, float] = {
    (18, 44, 64, 3, 1, 64): 9.4,
    (18, 44, 64, 1, 3, 64): 9.6,
    (20, 90, 32, 1, 1, 96): 12.4,
    (20, 90, 32, 3, 1, 32): 5.4,
    (18, 44, 64, 1, 1, 32): 2.1,
}
"""In bfloat16; the last channels are whole tiles."""
