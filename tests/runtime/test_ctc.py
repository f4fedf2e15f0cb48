"""CTC against brute force (every path of a small problem spelled out) and against torch."""

from itertools import groupby, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lprnet.runtime.ctc import (
    Floats,
    best_path,
    prefix_beam_search,
    softmax,
)
from lprnet.runtime.lattice import label_probability, text_peaks
from lprnet.runtime.texts import Labels, Texts

seeds = st.integers(0, 2**32 - 1)


def problem(seed: int, images: int, classes: int, positions: int, scale: float = 3.0) -> Floats:
    logits = np.random.default_rng(seed).normal(0, scale, (images, classes, positions))
    return softmax(logits.astype(np.float32))


def spelled(path: tuple[int, ...], blank: int) -> Labels:
    return tuple(label for label, _ in groupby(path) if label != blank)


def every_path(p: Floats) -> dict[tuple[int, ...], float]:
    """All paths of one image, `p` `(C, T)`, with their probabilities."""
    classes, positions = p.shape
    return {
        path: float(np.prod(p[list(path), range(positions)]))
        for path in product(range(classes), repeat=positions)
    }


def every_label(p: Floats) -> dict[Labels, float]:
    sums: dict[Labels, float] = {}
    for path, probability in every_path(p).items():
        labels = spelled(path, len(p) - 1)
        sums[labels] = sums.get(labels, 0.0) + probability
    return sums


def every_peak(p: Floats) -> dict[Labels, list[float]]:
    """Per labels, the highest probability in each run of the best path that spells them."""
    blank = len(p) - 1
    best = {}
    for path, _ in sorted(every_path(p).items(), key=lambda item: item[1]):
        best[spelled(path, blank)] = path
    return {
        labels: [
            max(float(p[label, position]) for position in run)
            for label, run in groupby(range(len(path)), key=path.__getitem__)
            if label != blank
        ]
        for labels, path in best.items()
    }


def label_peaks(p: Floats, labels: list[Labels]) -> list[list[float]]:
    texts = Texts.of(labels)
    return [*map(list, texts.split(text_peaks(p, texts).tolist()))]


def test_softmax_is_torchs_and_survives_large_logits() -> None:
    logits = np.random.default_rng(0).normal(0, 300, (2, 68, 18)).astype(np.float32)
    expected = torch.softmax(torch.from_numpy(logits).double(), 1).numpy()
    np.testing.assert_allclose(softmax(logits), expected, rtol=1e-12)


@given(seeds, st.integers(1, 4), st.integers(2, 4), st.integers(1, 5))
@settings(max_examples=60)
def test_best_path(seed: int, images: int, classes: int, positions: int) -> None:
    p = problem(seed, images, classes, positions)
    for (labels, peaks), one in zip(best_path(p), p, strict=True):
        paths = every_path(one)
        best = max(paths, key=lambda path: paths[path])
        assert labels == spelled(best, classes - 1)
        assert peaks == pytest.approx(every_peak(one)[labels])


@given(seeds, st.integers(2, 4), st.integers(1, 5))
@settings(max_examples=40)
def test_probability_and_peaks_of_every_label(seed: int, classes: int, positions: int) -> None:
    p = problem(seed, 1, classes, positions)
    sums, peaks = every_label(p[0]), every_peak(p[0])
    labels = list(sums)
    repeated = np.repeat(p, len(labels), axis=0)
    np.testing.assert_allclose(label_probability(repeated, labels), list(sums.values()), rtol=1e-9)
    for found, label in zip(label_peaks(repeated, labels), labels, strict=True):
        assert found == pytest.approx(peaks[label])


def test_labels_that_do_not_fit_have_no_probability() -> None:
    p = problem(5, 2, 3, 3)
    labels = [(0, 1, 0, 1), (0, 0, 0)]
    assert label_probability(p, labels).tolist() == [0, 0]
    assert label_peaks(p, labels) == [[0.0] * 4, [0.0] * 3]


def test_no_images() -> None:
    p = np.zeros((0, 68, 18))
    assert best_path(p) == []
    assert label_probability(p, []).shape == (0,)
    assert label_peaks(p, []) == []


@given(seeds, st.integers(1, 5))
@settings(max_examples=40)
def test_probability_is_torchs_loss(seed: int, images: int) -> None:
    """At LPRNet's size, where there are too many paths to spell out."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 4, (images, 68, 18)).astype(np.float32)
    labels = [
        tuple(generator.integers(0, 67, generator.integers(0, 9)).tolist()) for _ in range(images)
    ]
    loss = torch.nn.functional.ctc_loss(
        torch.from_numpy(logits).double().permute(2, 0, 1).log_softmax(2),
        torch.tensor([label for labels_of_one in labels for label in labels_of_one]),
        torch.full((images,), 18),
        torch.tensor([len(label) for label in labels]),
        blank=67,
        reduction="none",
    )
    found = label_probability(softmax(logits), labels)
    np.testing.assert_allclose(found, np.exp(-loss.numpy()), rtol=1e-9, atol=1e-300)


@given(seeds, st.integers(2, 4), st.integers(1, 5))
@settings(max_examples=60)
def test_a_wide_beam_is_exact(seed: int, classes: int, positions: int) -> None:
    (p,) = problem(seed, 1, classes, positions)
    sums = every_label(p)
    expected = sorted(sums, key=lambda labels: -sums[labels])
    assert prefix_beam_search(p, len(sums) + 1) == expected


@given(seeds, st.integers(1, 5))
@settings(max_examples=60)
def test_a_narrow_beam_keeps_to_its_width(seed: int, width: int) -> None:
    (p,) = problem(seed, 1, 4, 5)
    found = prefix_beam_search(p, width)
    assert 1 <= len(found) <= width
    assert len(set(found)) == len(found)
    assert set(found) <= set(every_label(p))


def test_beam_search_finds_what_greedy_misses() -> None:
    """Graves' example: each position prefers the blank, yet the label is likelier than none."""
    p = np.array([[[0.4, 0.4], [0.6, 0.6]]])
    assert best_path(p)[0][0] == ()
    assert prefix_beam_search(p[0], 4) == [(0,), ()]
    assert label_probability(p, [(0,)]).tolist() == pytest.approx([0.64])


def test_impossible_prefixes_are_dropped() -> None:
    p = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    assert prefix_beam_search(p, 8) == [(0,)]
