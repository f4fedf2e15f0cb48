"""Texts of two networks on the same fresh plates, counted by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from lprnet.distillation import text_agreement
from lprnet.distillation.text_agreement import TextAgreement, compare_texts, fresh_plates
from lprnet.runtime.alphabet import BLANK, CHINA, INDEX
from lprnet.runtime.decode import Logits


def reader(texts: list[str]) -> Logits:
    """Reads `texts` one after another, whatever the images."""
    left = list(texts)

    def logits(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = np.zeros((len(images), CHINA.classes, 18), np.float32)
        for row in found:
            path = [BLANK] * 18
            for place, character in enumerate(left.pop(0)):
                path[2 * place] = INDEX[character]
            row[path, range(18)] = 1
        return found

    return logits


def test_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_agreement, "BATCH", 2)
    _, (a, b, c, d) = fresh_plates(4)
    wrong, other = "A1", "B2"
    found = compare_texts(reader([a, b, c, wrong]), reader([a, other, c, wrong]), 4)
    assert found == TextAgreement(plates=4, same=3, right=3, kept=2)
    assert str(found) == "75.0% of 4 rendered plates, 66.7% of the 3 that it reads right"
    assert d != wrong


def test_plates_are_the_same_every_time() -> None:
    few, texts = fresh_plates(2)
    more, all_texts = fresh_plates(3)
    np.testing.assert_array_equal(few, more[:2])
    assert all_texts[:2] == texts
    assert len(set(all_texts)) == 3
