"""The best texts under a grammar against all paths, enumerated, and against a wide beam."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lprnet.model.checkpoint import load_model
from lprnet.model.preprocessing import normalise
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.runtime import allowed_texts, grammar_search
from lprnet.runtime.alphabet import CHINA
from lprnet.runtime.grammar_search import best_allowed, suffixes
from lprnet.runtime.image_io import read_image
from lprnet.runtime.image_paths import list_images
from lprnet.runtime.lattice import label_probability
from lprnet.runtime.texts import Labels
from lprnet.synthetic.render import render
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.conftest import RealData
from tests.runtime.grammar_oracle import CHINA_PLATES, GRAMMARS, check, check_random, shortfalls


@pytest.mark.parametrize("hundred", range(4))
def test_random_lattices(hundred: int) -> None:
    """`python -m tests.runtime.grammar_oracle` checks 10,000 of them."""
    for seed in range(100 * hundred, 100 * hundred + 100):
        check_random(seed)


@given(st.integers(0, 2**32 - 1), st.sampled_from(GRAMMARS), st.integers(1, 6))
def test_repeats_and_the_empty_text(seed: int, pattern: str, top: int) -> None:
    rng = np.random.default_rng(seed)
    check(rng.dirichlet([0.3] * 5, size=5).T.copy(), pattern, top)


def test_zeros_and_ones() -> None:
    """One path alone is possible; what it spells is not allowed, so nothing is found."""
    p = np.zeros((5, 3))
    p[0, 0] = p[4, 1] = p[0, 2] = 1
    check(p, "aa", 2)
    check(p, "a", 2)


def test_the_probability_is_that_of_all_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar_search, "MAX_OPENED", 10**6)
    rng = np.random.default_rng(0)
    for _ in range(10):
        p = rng.dirichlet([0.02] * CHINA.classes, size=18).T.copy()
        p[-1] += 0.3
        p /= p.sum(axis=0)
        behind = suffixes(p[None], CHINA_PLATES)
        found = best_allowed(p, behind.continued[0], CHINA_PLATES, 3)
        sums = label_probability(np.broadcast_to(p, (3, *p.shape)), [text for text, _ in found])
        np.testing.assert_allclose([x for _, x in found], sums, rtol=1e-9)


def test_many_images_together_are_as_each_alone() -> None:
    """From a plate to noise: past the first ones the common steps pass by larger bounds."""
    rng = np.random.default_rng(1)
    p = rng.dirichlet([0.05] * CHINA.classes, size=(40, 18)).transpose(0, 2, 1).copy()
    plate = [CHINA.index[symbol] for symbol in "皖-A-1-22-3-4-5----"[:18]]
    noise = np.linspace(0, 1, 40)[:, None]
    p *= noise[:, :, None]
    p[:, plate, np.arange(18)] += 1 - noise
    searched: list[int] = []

    def counted(*arguments: Any) -> list[tuple[Labels, float]]:
        searched.append(1)
        return best_allowed(*arguments)

    with patch.object(allowed_texts, "best_allowed", counted):
        together = allowed_texts.allowed_texts(p, CHINA_PLATES, 1, np.zeros(40))
    assert 0 < len(searched) < 40
    for one, found in zip(p, together, strict=True):
        behind = suffixes(one[None], CHINA_PLATES)
        ((labels, probability),) = best_allowed(one, behind.continued[0], CHINA_PLATES, 1)
        assert [text for text, _ in found] == [labels]
        assert found[0][1] == pytest.approx(probability, rel=1e-12)


def test_what_no_text_can_reach_is_not_searched() -> None:
    p = np.random.default_rng(1).dirichlet([0.05] * CHINA.classes, size=(4, 18))
    p = p.transpose(0, 2, 1).copy()
    least = np.array([0.0, 1.0, 0.0, 1.0])
    first, second, third, fourth = allowed_texts.allowed_texts(p, CHINA_PLATES, 2, least)
    assert len(first) == len(third) == 2
    assert second == fourth == []


def test_logits_that_are_no_numbers_end_the_search() -> None:
    p = np.random.default_rng(1).dirichlet([0.05] * CHINA.classes, size=(2, 18))
    p = p.transpose(0, 2, 1).copy()
    p[0] = np.nan
    nothing, found = allowed_texts.allowed_texts(p, CHINA_PLATES, 1, np.zeros(2))
    assert nothing == []
    assert len(found) == 1


def test_no_more_is_found_by_a_wide_beam_on_rendered_plates() -> None:
    images = np.stack([render(5_000_012, index, 2.0)[0] for index in range(24)])
    assert not list(shortfalls(torch_logits(DEFAULT_CHECKPOINT, images)))


def test_no_more_is_found_by_a_wide_beam_on_photographs(real_data: RealData) -> None:
    paths = list_images([str(real_data.images)])[::40]
    images = np.stack([read_image(path) for path in paths])
    assert not list(shortfalls(torch_logits(real_data.checkpoint, images)))


def torch_logits(checkpoint: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    model = load_model(checkpoint)
    with subnormals_as_zero(), torch.inference_mode():
        logits: NDArray[np.float32] = model(torch.from_numpy(normalise(images))).numpy()
    return logits
