"""A handful of the random networks; `python -m tests.differential` runs as many as one likes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lprnet.compression.calibration import calibrate
from lprnet.compression.quantize.integer_reference import integer_reference
from lprnet.compression.quantize.post_training import quantize_static
from lprnet.compression.reduced import reduce
from lprnet.model.preprocessing import normalise
from tests.adding_up import added_up, adding_up, one_level
from tests.differential.check import check_code, check_graph
from tests.differential.random_case import random_case


@pytest.mark.parametrize("number", [*range(6), 163])
def test_a_random_network_goes_through_the_passes(number: int, tmp_path: Path) -> None:
    """The rounding of float32 shows in the logits of the last one."""
    check_graph(random_case(number), tmp_path)


@pytest.mark.isa("broadwell")
@pytest.mark.parametrize("number", [14, 17])
def test_a_random_network_is_compiled_and_run(number: int, tmp_path: Path) -> None:
    """In static int8 and in float32, both for AVX2."""
    assert check_code(random_case(number), tmp_path)["ran"] == 1


def test_levels_are_what_the_reference_adds_up() -> None:
    """By its own container, in float32, where that is exact."""
    case = random_case(14)
    pixels, reduced = case.pixels(), reduce(calibrate(case.model(), case.pixels()))
    quantized = quantize_static(reduced, torch.from_numpy(normalise(pixels)), winograd=True)
    sums, levels = adding_up(quantized), added_up(quantized, pixels)
    logits = integer_reference(sums).logits(pixels)
    assert 0 < levels.max() < 2**18
    assert np.abs(logits / one_level(sums)[:, None] - levels).max() < 0.1


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
