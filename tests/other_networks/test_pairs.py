"""Cases in which all pairs of values meet, through the command lines."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.other_networks.case import CASES, Case
from tests.other_networks.check import Checks, build_here, build_in_a_process, checks
from tests.other_networks.pairs import CHOSEN, pairs_of

AS_A_SCRIPT = (CHOSEN[0], CHOSEN[16])
"""Built by a process of their own, which imports for seconds: float32 without any other flag, and
structured with an architecture and an alphabet in files. Every case is read by one.
"""


@pytest.fixture(scope="module")
def small() -> Iterator[Checks]:
    with checks(photographs=2, rendered=4) as made:
        yield made


@pytest.mark.parametrize("case", CHOSEN, ids=lambda case: case.name)
def test_a_network_is_built_and_read_as_torch_does(
    case: Case, small: Checks, tmp_path: Path
) -> None:
    small.check(case, tmp_path, build_in_a_process if case in AS_A_SCRIPT else build_here)


def test_each_two_values_meet() -> None:
    columns = zip(*(vars(case).values() for case in CASES), strict=True)
    counts = [len(set(values)) for values in columns]
    assert counts == [5, 4, 2, 4, 4, 2]
    pairs = pairs_of(CHOSEN)
    assert pairs == pairs_of(CASES)
    assert len(pairs) == (sum(counts) ** 2 - sum(count**2 for count in counts)) // 2


def test_no_case_can_be_left_out() -> None:
    for case in CHOSEN:
        assert pairs_of(one for one in CHOSEN if one != case) < pairs_of(CASES)
