"""Minimal filtering algorithms F(m, 3) in integers, with one exact division at the end.

    y = (output @ ((weight @ g) * (input @ d))) / divisor

The matrices are those of `cook_toom.py` without denominators: each row of `input` and each column
of `output` is multiplied by its common denominator, and `weight` by the common divisor of the rest.
The divisor of F(4, 3) is 24 and that of F(6, 3) is 360.
"""

from dataclasses import dataclass
from math import lcm

from schedules.winograd.cook_toom import minimal_filter

Row = tuple[int, ...]


@dataclass(frozen=True)
class IntegerFilter:
    """The three integer matrices of F(m, 3)."""

    outputs: int
    """m."""
    input: tuple[Row, ...]
    """(m + 2, m + 2); the last coefficient that is not zero in each row is positive."""
    weight: tuple[Row, ...]
    """(m + 2, 3)."""
    output: tuple[Row, ...]
    """(m, m + 2)."""
    divisor: int

    @property
    def products(self) -> int:
        """m + 2."""
        return len(self.input)

    @property
    def shift(self) -> int:
        """The exponent of 2 in the divisor."""
        return (self.divisor & -self.divisor).bit_length() - 1

    @property
    def inverse(self) -> int:
        """Inverse of the divisor's odd part modulo 2**32, as int32; multiplying by it divides
        exactly.
        """
        inverse = pow(self.divisor >> self.shift, -1, 2**32)
        return inverse - 2**32 if inverse >= 2**31 else inverse


def integer_filter(outputs: int) -> IntegerFilter:
    """F(`outputs`, 3) for 1 to `MAX_OUTPUTS` outputs."""
    exact = minimal_filter(outputs)
    inputs = [lcm(*(entry.denominator for entry in row)) for row in exact.input]
    columns = list(zip(*exact.output, strict=True))
    scales = [lcm(*(entry.denominator for entry in column)) for column in columns]
    weight = [
        [entry / (row_scale * column_scale) for entry in row]
        for row, row_scale, column_scale in zip(exact.weight, inputs, scales, strict=True)
    ]
    divisor = lcm(*(entry.denominator for row in weight for entry in row))
    return IntegerFilter(
        outputs,
        tuple(
            tuple(int(entry * scale) for entry in row)
            for row, scale in zip(exact.input, inputs, strict=True)
        ),
        tuple(tuple(int(entry * divisor) for entry in row) for row in weight),
        tuple(
            tuple(int(entry * scale) for entry, scale in zip(row, scales, strict=True))
            for row in exact.output
        ),
        divisor,
    )
