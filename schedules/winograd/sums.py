"""Linear combinations of TIR expressions with constant coefficients, for the transforms.

The rows of two opposite points of evaluation (`cook_toom.POINTS`) differ in signs only. These
functions write both with the same subexpressions, which the compiler then computes once.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from tvm import tirx

Term = Callable[[int], tirx.Expr]
"""Index to the expression that a coefficient multiplies."""
Scale = Callable[[Fraction | int, tirx.Expr], tirx.Expr]
"""A coefficient other than 1 times an expression."""


def weighted_sum(row: Mapping[int, Fraction | int], term: Term, scale: Scale) -> tirx.Expr:
    """The sum of `row[i] * term(i)` over the coefficients that are not 0."""
    (first, coefficient), *others = [(i, entry) for i, entry in row.items() if entry]
    total = _times(coefficient, term(first), scale)
    for i, coefficient in others:
        magnitude = coefficient if coefficient > 0 else -coefficient
        product = _times(magnitude, term(i), scale)
        total = total + product if coefficient > 0 else total - product
    return total


def even_and_odd(row: Sequence[Fraction | int], term: Term, scale: Scale) -> tirx.Expr:
    """The sum of `row[i] * term(i)` as one half plus or minus the other half, where a half has the
    even or the odd indices.

    The last coefficient that is not 0 must be positive. The last one of the other half is made
    positive, so that rows of opposite points differ only in the sign between equal halves.
    """
    last = max(i for i, coefficient in enumerate(row) if coefficient)
    half = weighted_sum({i: row[i] for i in range(last, -1, -2)}, term, scale)
    other = {i: row[i] for i in range(last - 1, -1, -2) if row[i]}
    if not other:
        return half
    if next(iter(other.values())) > 0:
        return half + weighted_sum(other, term, scale)
    return half - weighted_sum({i: -entry for i, entry in other.items()}, term, scale)


def _times(coefficient: Fraction | int, value: tirx.Expr, scale: Scale) -> tirx.Expr:
    return value if coefficient == 1 else scale(coefficient, value)
