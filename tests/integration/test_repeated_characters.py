"""Repeated characters and green plates through every variant: the grammar takes nothing away."""

import numpy as np
import pytest
from numpy.typing import NDArray

from lprnet.model.subnormals import subnormals_as_zero
from lprnet.runtime.decode import best_plates, greedy
from lprnet.synthetic.augment import photograph
from lprnet.synthetic.render import BLUE, GREEN, draw
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.prepared import prepared
from tests.shared_results import SharedResults

BLUE_SERIALS = ("A11111", "B88888", "AAA111", "D0000D", "C77X77", "GG1188")
GREEN_SERIALS = ("AD11111", "AD88888", "BF00000", "C88888D", "DDD1111", "E11111F")
HEADS = "皖京粤沪"


@pytest.fixture(scope="module")
def plates() -> tuple[NDArray[np.uint8], list[str]]:
    """`(48, 24, 94, 3)`, photographed at difficulty 0.5, and their texts."""
    kinds = {**dict.fromkeys(BLUE_SERIALS, BLUE), **dict.fromkeys(GREEN_SERIALS, GREEN)}
    texts = [head + serial for serial in kinds for head in HEADS]
    images = []
    for number, text in enumerate(texts):
        rng = np.random.default_rng((77, number))
        images.append(photograph(rng, draw(rng, kinds[text[1:]], text), 0.5))
    return np.stack(images), texts


@pytest.mark.parametrize(
    ("quantized", "pruned"),
    [
        (None, None),
        ("weights", None),
        ("static", None),
        (None, "structured"),
        ("static", "structured"),
    ],
)
def test_repeats_and_green_plates(
    quantized: str | None,
    pruned: str | None,
    plates: tuple[NDArray[np.uint8], list[str]],
    shared_results: SharedResults,
) -> None:
    """What greedy decoding reads right, the grammar reads right, and it reads most of them."""
    images, texts = plates
    network, *_ = shared_results.call(prepared, DEFAULT_CHECKPOINT, None, quantized, pruned)
    with subnormals_as_zero():  # as in a build
        logits = network.expected(images)
    raw = [plate.text for plate in greedy(logits)]
    found = [best[0].text for best in best_plates(logits)]
    worse = [(a, b) for a, b, text in zip(raw, found, texts, strict=True) if a == text != b]
    assert not worse
    assert sum(a == b for a, b in zip(found, texts, strict=True)) >= 40
