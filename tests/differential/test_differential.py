"""A handful of the random networks; `python -m tests.differential` runs as many as one likes."""

from pathlib import Path

import pytest

from tests.differential.check import check_code, check_graph
from tests.differential.random_case import random_case


@pytest.mark.parametrize("number", range(6))
def test_a_random_network_goes_through_the_passes(number: int, tmp_path: Path) -> None:
    check_graph(random_case(number), tmp_path)


@pytest.mark.isa("broadwell")
@pytest.mark.parametrize("number", [25, 27])
def test_a_random_network_is_compiled_and_run(number: int, tmp_path: Path) -> None:
    """In float32 and in static int8, both for AVX2."""
    assert check_code(random_case(number), tmp_path)["ran"] == 1


def test_a_wrong_result_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An int8 network one of whose requantized maps is off by one."""
    from tests import quantized_reference

    def off_by_one(call: object, operands: list[quantized_reference.Array]) -> object:
        return rounded(call, operands) + 1

    rounded = quantized_reference.OPERATORS["relax.round"]
    case = next(one for one in map(random_case, range(20)) if not one.per_image)
    monkeypatch.setitem(quantized_reference.OPERATORS, "relax.round", off_by_one)
    with pytest.raises(AssertionError, match="static is off by"):
        check_graph(case, tmp_path)
