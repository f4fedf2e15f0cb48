"""Alignments against all paths written out, and where a teacher counts."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lprnet.distillation.alignment import best_alignment
from lprnet.distillation.losses import MAX_WRONG, agreement, ctc_loss, divergence
from lprnet.runtime.alphabet import BLANK, CHINA
from lprnet.runtime.ctc import softmax
from lprnet.runtime.lattice import label_probability

SMALL_BLANK = 1
"""Neither the first nor the last of the three classes of small lattices."""


def spelled(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    """Repeats merged, then blanks dropped."""
    merged = [c for i, c in enumerate(path) if i == 0 or c != path[i - 1]]
    return tuple(c for c in merged if c != blank)


def batch_of(labels: list[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
    """Targets and lengths."""
    flat = torch.tensor([c for label in labels for c in label], dtype=torch.int64)
    return flat, torch.tensor([len(label) for label in labels])


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    labels=st.lists(
        st.lists(st.sampled_from([0, 2]), max_size=4).map(tuple), min_size=1, max_size=3
    ),
)
def test_an_alignment_is_the_likeliest_of_all_paths(
    seed: int, labels: list[tuple[int, ...]]
) -> None:
    logits = np.random.default_rng(seed).normal(0, 2, (len(labels), 3, 5)).astype(np.float32)
    p = softmax(logits)
    path, fits = best_alignment(torch.from_numpy(logits), *batch_of(labels), SMALL_BLANK)
    for row, label in enumerate(labels):
        paths = [one for one in product(range(3), repeat=5) if spelled(one, SMALL_BLANK) == label]
        assert bool(fits[row]) == bool(paths)
        if paths:
            likelihood = [np.prod(p[row, list(one), range(5)]) for one in paths]
            assert tuple(path[row].tolist()) == paths[int(np.argmax(likelihood))]


def certain(text: str, path: str) -> Tensor:
    """Logits `(1, 68, T)` of a teacher that is sure of `path`, whose second choice is `text`."""
    logits = torch.zeros(1, CHINA.classes, len(path))
    logits[0, CHINA.encode(text)] = 2.0
    for position, symbol in enumerate(path):
        logits[0, CHINA.index[symbol], position] = 9.0
    return logits


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("京-AA-1-12-345-", "11111111111111"),  # as the label, a repeated character among them
        ("皖-AA-1-12-345-", "00111111111111"),  # another province
        ("京-AA-1-12-375-", "11111111110001"),  # another character
        ("京-AA-1-12-345B", "11111111111100"),  # one too many
        ("-------1-12---", "00000000000000"),  # hardly anything
    ],
)
def test_a_teacher_counts_where_it_agrees_with_the_label(path: str, counts: str) -> None:
    label = "京A112345"
    logits = certain(label, path)
    agrees = agreement(logits, *batch_of([CHINA.encode(label)]), BLANK)
    assert "".join(str(int(one)) for one in agrees[0]) == counts


def test_a_teacher_with_many_mistakes_counts_nowhere() -> None:
    label, paths = "京A12345", ("京-A-1-2-3-4-5-", "京-B-1-5-6-4-5-", "京-B-1-5-6-7-5-")
    logits = torch.cat([certain(label, path) for path in paths])
    agrees = agreement(logits, *batch_of([CHINA.encode(label)] * 3), BLANK)
    assert MAX_WRONG == 3
    assert agrees.sum(1).tolist() == [14, 14 - 3 - 5, 0]


def test_a_label_that_does_not_fit_counts_nowhere() -> None:
    label = CHINA.encode("京A1")
    assert not agreement(torch.randn(1, 68, 2), *batch_of([label]), BLANK).any()


def test_the_divergence_is_a_mean_over_the_positions_that_count() -> None:
    torch.manual_seed(1)
    student, teacher = torch.randn(2, 2, 5, 4, dtype=torch.float64)
    p, q = softmax(teacher.numpy()), softmax(student.numpy())
    each = (p * np.log(p / q)).sum(1)
    where = torch.tensor([[True, False, True, False], [False, False, False, True]])
    assert float(divergence(student, teacher)) == pytest.approx(each.mean())
    expected = (each[0, 0] + each[0, 2] + each[1, 3]) / 3
    assert float(divergence(student, teacher, where)) == pytest.approx(expected)
    assert float(divergence(student, teacher, where & False)) == 0


def test_the_ctc_loss_is_that_of_the_summed_paths() -> None:
    logits = np.random.default_rng(1).normal(0, 2, (3, 68, 18)).astype(np.float32)
    labels = [CHINA.encode(text) for text in ("京A12345", "皖AD00000", "粤")]
    p = softmax(logits)
    each = [
        -np.log(label_probability(p[[row]], [label])[0]) / len(label)
        for row, label in enumerate(labels)
    ]
    loss = ctc_loss(torch.from_numpy(logits), *batch_of(labels), BLANK)
    assert float(loss) == pytest.approx(np.mean(each), rel=1e-5)
