"""Logits to plates: text, confidences and alternatives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lprnet.model.checkpoint import load_model
from lprnet.model.preprocessing import normalise
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.runtime import grammar_search
from lprnet.runtime.alphabet import BLANK, CHINA, INDEX, Alphabet
from lprnet.runtime.decode import (
    FAR_LIKELIER,
    Plate,
    beam_search,
    best_plates,
    decode,
    greedy,
    read_texts,
    uses_grammar,
)
from lprnet.runtime.grammar_search import MAX_OPENED, OPENED_A_TEXT
from lprnet.runtime.image_io import read_image
from lprnet.runtime.image_paths import label_of, list_images
from lprnet.support.errors import UserError
from tests.conftest import RealData

Logits = NDArray[np.float32]


def spell(columns: str, high: float = 20.0) -> Logits:
    """`(1, 68, 18)` logits whose best path is `columns`, "-" being the blank."""
    assert len(columns) == 18
    logits = np.zeros((1, 68, 18), np.float32)
    for position, character in enumerate(columns):
        logits[0, INDEX[character], position] = high
    return logits


def random_logits(images: int) -> Logits:
    return np.random.default_rng(2).normal(0, 4, (images, 68, 18)).astype(np.float32)


def peaks(plate: Plate) -> list[float]:
    return [character.confidence for character in plate.characters]


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ("-皖皖-A--1122-3--4-5", "皖A12345"),
        ("京京京A-A-1-1-11-0-0-", "京AA11100"),
        ("------------------", ""),
        ("皖皖皖皖皖皖皖皖皖皖皖皖皖皖皖皖皖皖", "皖"),
        ("1-1-1-1-1-1-1-1-1-", "111111111"),
    ],
)
def test_greedy_merges_repeats_then_drops_blanks(columns: str, text: str) -> None:
    (plate,) = greedy(spell(columns))
    assert plate.text == text
    assert "".join(character.text for character in plate.characters) == text
    assert plate.confidence == pytest.approx(1, abs=1e-4)


def test_a_characters_confidence_is_its_peak() -> None:
    logits = spell("-皖皖-A--1122-3--4-5")
    logits[0, INDEX["皖"], 1] = 3.0
    logits[0, INDEX["A"], 4] = 5.0
    (plate,) = greedy(logits)
    certain = np.exp(20) / (np.exp(20) + 67)
    assert plate.characters[0].confidence == pytest.approx(certain)
    assert plate.characters[1].confidence == pytest.approx(np.exp(5) / (np.exp(5) + 67))


def test_plate_confidence_is_torchs_ctc_probability() -> None:
    logits = random_logits(20)
    for plate, one in zip(greedy(logits), logits, strict=True):
        loss = torch.nn.functional.ctc_loss(
            torch.from_numpy(one).double().T[:, None].log_softmax(2),
            torch.tensor([[INDEX[character] for character in plate.text]]),
            torch.tensor([18]),
            torch.tensor([len(plate.text)]),
            blank=BLANK,
            reduction="sum",
        )
        assert plate.confidence == pytest.approx(float(torch.exp(-loss)), rel=1e-9)


def test_neighbours_do_not_matter() -> None:
    logits = random_logits(6)
    together = greedy(logits)
    for plate, one in zip(together, logits, strict=True):
        (alone,) = greedy(one[None])
        assert alone.text == plate.text
        assert alone.confidence == pytest.approx(plate.confidence, rel=1e-12)
        assert alone.characters == plate.characters
    assert [plates[0].text for plates in beam_search(logits)] == [
        beam_search(one[None])[0][0].text for one in logits
    ]


def test_no_images() -> None:
    none = np.zeros((0, 68, 18), np.float32)
    assert greedy(none) == []
    assert beam_search(none) == []


def test_hypotheses_are_sorted_different_and_scored_like_greedy() -> None:
    logits = random_logits(10) * np.float32(2)
    for plates, plate in zip(beam_search(logits, 12), greedy(logits), strict=True):
        assert len({hypothesis.text for hypothesis in plates}) == len(plates) <= 12
        confidences = [hypothesis.confidence for hypothesis in plates]
        assert confidences == sorted(confidences, reverse=True)
        assert sum(confidences) <= 1 + 1e-9
        assert plates[0].confidence >= plate.confidence * (1 - 1e-9)
        assert plate.text in {hypothesis.text for hypothesis in plates}
        (same,) = [hypothesis for hypothesis in plates if hypothesis.text == plate.text]
        assert same.confidence == pytest.approx(plate.confidence)
        assert peaks(same) == pytest.approx(peaks(plate))


def test_decode_chooses_between_greedy_beam_and_grammar() -> None:
    logits = random_logits(4) * np.float32(2)
    assert decode(logits) == [[plate] for plate in greedy(logits)]
    assert decode(logits, top=3) == [plates[:3] for plates in beam_search(logits)]
    assert decode(logits, top=11) == [plates[:11] for plates in beam_search(logits, 11)]
    assert decode(logits, 2, grammar=True) == best_plates(logits, 2)


def test_under_the_grammar_no_plate_of_the_beam_is_more_probable() -> None:
    """The beam scores its texts with all of their paths: a reference for the search."""
    logits = np.concatenate([spell("-皖皖-A--1122-3--4-5"), spell("京-A-1-2-3-4-5-6-7-")])
    noise = np.random.default_rng(5).normal(0, 5, (40, 68, 18)).astype(np.float32)
    logits = np.repeat(logits, 20, axis=0) * np.float32(0.5) + noise
    for found, beam in zip(best_plates(logits, 3), beam_search(logits, 64), strict=True):
        numbers = [plate for plate in found if CHINA.is_plate(plate.text)]
        confidences = [plate.confidence for plate in numbers]
        assert confidences == sorted(confidences, reverse=True)
        others = [plate.confidence for plate in beam if CHINA.is_plate(plate.text)]
        assert confidences[0] >= max(others, default=0) * (1 - 1e-9)


@pytest.mark.parametrize("text", ["京AA1111", "京A88888", "京AAAAA8", "京AD88888"])
def test_repeated_characters_stay_under_the_grammar(text: str) -> None:
    logits = spell("-".join(text).ljust(18, "-"))
    assert [plates[0].text for plates in best_plates(logits)] == [text]


def test_green_plates_keep_their_eighth_character() -> None:
    """Seven and eight characters are both plates; the more probable one wins, not the shorter."""
    logits = spell("京-A-D-1-2-3-4-5---")
    assert best_plates(logits)[0][0].text == "京AD12345"
    logits[0, BLANK, 14] = 19.9
    assert best_plates(logits)[0][0].text == "京AD12345"
    logits[0, BLANK, 14] = 20.1
    assert best_plates(logits)[0][0].text == "京AD1234"


def test_what_is_surely_no_plate_is_not_forced_into_one() -> None:
    logits = spell("京-A-1-2-----------", high=30)
    logits += np.random.default_rng(4).normal(0, 4, logits.shape).astype(np.float32)
    (found,) = best_plates(logits)
    assert [plate.text for plate in found] == ["京A12"]
    first, second = best_plates(logits, 2)[0]
    assert first.text == "京A12"
    assert CHINA.is_plate(second.text)
    assert first.confidence > FAR_LIKELIER * second.confidence


def test_a_search_among_texts_that_are_all_alike_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """There every text has to be compared, which takes minutes and gigabytes."""
    opened = []
    extended = grammar_search._extended

    def counted(*arguments: Any) -> tuple[list[float], list[float]]:
        opened.append(arguments)
        return extended(*arguments)

    monkeypatch.setattr(grammar_search, "_extended", counted)
    flat = np.zeros((1, 68, 18), np.float32)
    for top in (1, 5):
        opened.clear()
        assert best_plates(flat, top) == [greedy(flat)]
        assert len(opened) == MAX_OPENED + OPENED_A_TEXT * top


def test_columns_hold_the_plates_one_after_another() -> None:
    """Under the grammar the texts of the greedy path and those of the search are mixed."""
    logits = np.concatenate(
        [spell("皖-A-1-2-3-4-5--O--"), spell("京京京A-A-1-1-11-0-0-"), spell("-" * 18)]
    )
    logits[0, BLANK, 15] = 19.5
    logits = np.concatenate([logits, random_logits(4) * np.float32(2)])
    for top in (1, 2):
        columns = read_texts(logits, top, grammar=True)
        peaks = columns.texts.split(columns.peaks.tolist())
        rows = zip(
            columns.images.tolist(),
            [
                "".join(CHINA.characters[x] for x in text)
                for text in columns.texts.split(columns.texts.labels.tolist())
            ],
            columns.confidences.tolist(),
            map(tuple, peaks),
            strict=True,
        )
        assert list(rows) == [
            (image, plate.text, plate.confidence, plate.symbol_confidences)
            for image, plates in enumerate(decode(logits, top, grammar=True))
            for plate in plates
        ]
        assert set(columns.images.tolist()) == set(range(len(logits)))


def test_the_grammar_drops_what_no_plate_has() -> None:
    logits = spell("皖-A-1-2-3-4-5--O--")
    logits[0, BLANK, 15] = 19.5
    assert [plates[0].text for plates in decode(logits)] == ["皖A12345O"]
    assert [plates[0].text for plates in decode(logits, grammar=True)] == ["皖A12345"]


def test_the_grammar_is_used_where_there_is_one() -> None:
    plain = Alphabet("plain", ("a", "-"), 1)
    assert uses_grammar(CHINA, None)
    assert uses_grammar(CHINA, True)
    assert not uses_grammar(CHINA, False)
    assert not uses_grammar(plain, None)
    with pytest.raises(UserError, match="plain has no grammar; .*--no-grammar"):
        uses_grammar(plain, True)


def test_alternatives_under_the_grammar_are_plates_in_order() -> None:
    logits = spell("皖-A-1-2-3-4-5-----")
    logits[0, INDEX["6"], 12], logits[0, INDEX["7"], 12] = 19, 18
    (plates,) = decode(logits, 3, grammar=True)
    assert [plate.text for plate in plates] == ["皖A12345", "皖A12346", "皖A12347"]
    assert [character.text for character in plates[1].characters] == list("皖A12346")
    assert peaks(plates[1])[6] == pytest.approx(plates[1].confidence, rel=1e-3)


def test_real_plates_gain_from_the_grammar(real_data: RealData) -> None:
    paths = list_images([str(real_data.images)])[::10]
    model = load_model(real_data.checkpoint)
    images = normalise(np.stack([read_image(path) for path in paths]))
    with subnormals_as_zero(), torch.inference_mode():
        logits = model(torch.from_numpy(images)).numpy()
    assert correct(paths, decode(logits, grammar=True)) > correct(paths, decode(logits))


def correct(paths: list[Path], found: list[list[Plate]]) -> int:
    return sum(plates[0].text == label_of(p) for p, plates in zip(paths, found, strict=True))
