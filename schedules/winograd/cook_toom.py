"""Minimal filtering algorithms F(m, 3): m outputs of a 3-tap filter from m + 2 multiplications.

    y = output @ ((weight @ g) * (input @ d)),    y[i] = sum over k of d[i + k] * g[k]

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv:1509.09308), section 4;
the matrices are Toom and Cook's, by evaluation at m + 1 points and at infinity (Blahut, "Fast
Algorithms for Signal Processing", section 5.2). A direct filter needs 3m multiplications.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import prod

Row = tuple[Fraction, ...]

TAPS = 3
FILTERS = (TAPS, 1), (1, TAPS)
"""Heights and widths of filters that have one axis."""
POINTS = tuple(Fraction(p) for p in ("0", "1", "-1", "2", "-2", "1/2", "-1/2"))
"""Points of evaluation; the first m + 1 are used. Small powers of two, so that most products with
them are exact, in pairs of opposites, so that two rows share their even and odd halves.
"""
MAX_OUTPUTS = len(POINTS) - 1


def outputs_along(kernel: tuple[int, int], height: int, width: int) -> int | None:
    """Of `height` by `width` outputs, those along the axis of a `kernel` of `FILTERS`; None for
    another.
    """
    return dict(zip(FILTERS, (height, width), strict=True)).get(kernel)


@dataclass(frozen=True)
class MinimalFilter:
    """The three matrices of F(m, 3), exact."""

    outputs: int
    """m."""
    input: tuple[Row, ...]
    """(m + 2, m + 2); the last coefficient that is not zero in each row is positive."""
    weight: tuple[Row, ...]
    """(m + 2, 3)."""
    output: tuple[Row, ...]
    """(m, m + 2)."""

    @property
    def products(self) -> int:
        """m + 2."""
        return self.outputs + TAPS - 1


def minimal_filter(outputs: int) -> MinimalFilter:
    """F(`outputs`, 3) for 1 to `MAX_OUTPUTS` outputs."""
    points = POINTS[: outputs + 1]
    zero, one = Fraction(0), Fraction(1)
    data = [(*_from_roots([q for q in points if q != p]), zero) for p in points]
    scales = [prod((p - q for q in points if q != p), start=one) for p in points]
    weight = [
        tuple(p**tap / scale for tap in range(TAPS))
        for p, scale in zip(points, scales, strict=True)
    ]
    return MinimalFilter(
        outputs,
        (*data, _from_roots(points)),
        (*weight, (zero, zero, one)),
        tuple(
            (*(p**row for p in points), one if row == outputs - 1 else zero)
            for row in range(outputs)
        ),
    )


def _from_roots(roots: tuple[Fraction, ...] | list[Fraction]) -> Row:
    """The coefficients, lowest first, of the product of `x - root`."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [
            high - root * low
            for high, low in zip(shifted, [*coefficients, Fraction(0)], strict=True)
        ]
    return tuple(coefficients)
