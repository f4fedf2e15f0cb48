"""Minimal filtering algorithms F(m, 3) in integers alone, with one exact division at the end.

    y = (output @ ((weight @ g) * (input @ d))) / divisor

The matrices are those of `cook_toom.py` with their denominators cleared: a row of `input`, and
the column of `output` at its place, times whatever makes them whole; `weight` takes what is left of
the common divisor. So F(4, 3) has 24 and F(6, 3) has 360.
"""

from dataclasses import dataclass
from math import lcm

from schedules.winograd.cook_toom import minimal_filter

Row = tuple[int, ...]


@dataclass(frozen=True)
class IntegerFilter:
    """The three matrices of F(m, 3), whole."""

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
        """How often the divisor is even."""
        return (self.divisor & -self.divisor).bit_length() - 1

    @property
    def inverse(self) -> int:
        """Of the divisor's odd part modulo 2**32, as int32: to multiply by it divides exactly."""
        inverse = pow(self.divisor >> self.shift, -1, 2**32)
        return inverse - 2**32 if inverse >= 2**31 else inverse


def integer_filter(outputs: int) -> IntegerFilter:
    """F(`outputs`, 3) for 1 to `MOST_OUTPUTS` outputs."""
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
