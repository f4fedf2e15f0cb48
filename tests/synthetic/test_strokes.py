"""Serials in the strokes of the standard: whole, each its own, and as a network of real plates
knows them."""

from functools import partial

import numpy as np

from lprnet.compression.calibration import calibrate, calibration_files, read_images
from lprnet.compression.compiler_inputs import compact_logits
from lprnet.compression.reduced import reduce
from lprnet.model.checkpoint import load_model
from lprnet.runtime.decode import greedy
from lprnet.runtime.plate_grammar import DIGITS, LETTERS
from lprnet.synthetic.augment import photograph
from lprnet.synthetic.lettering import MIXED, STROKES, lettering
from lprnet.synthetic.render import BLUE, draw, serial
from lprnet.synthetic.strokes import VARIANTS, stroke_glyph
from tests.conftest import RealData

PLATES = 400


def test_every_character_fills_its_cell_and_is_its_own() -> None:
    cells = {
        (c, number): stroke_glyph(c, number)
        for c in (*DIGITS, *LETTERS)
        for number in range(VARIANTS)
    }
    assert all(cell.shape == (64, 32) and cell.dtype == np.uint8 for cell in cells.values())
    for (character, _), cell in cells.items():
        assert cell[[0, -1]].any(axis=1).all(), character
        assert character == "1" or np.ptp(np.flatnonzero(cell.any(axis=0))) > 25, character
    # Two characters of one variant differ in 3 % of the cell's pixels at least.
    for number in range(VARIANTS):
        ink = {c: cells[c, number] > 127 for c in (*DIGITS, *LETTERS)}
        for one in ink:
            for other in ink:
                assert one == other or (ink[one] != ink[other]).mean() > 0.03, one + other


def test_variants_differ_and_come_again() -> None:
    assert len({stroke_glyph("M", number).tobytes() for number in range(VARIANTS)}) == VARIANTS
    np.testing.assert_array_equal(stroke_glyph("Q", 3), stroke_glyph("Q", 3 + VARIANTS))


def test_the_middle_of_an_m_ends_half_way_down() -> None:
    """In fonts it ends at the foot, which the public checkpoint takes for an N."""
    for number in range(VARIANTS):
        middle = np.flatnonzero(stroke_glyph("M", number)[:, 15] > 127)
        assert 20 < middle.max() < 50


def test_shares_of_strokes_and_of_mixed_plates() -> None:
    count, strokes, mixed = 2000, 0, 0
    for number in range(count):
        letters = lettering(np.random.default_rng((5, number)), "皖M")
        strokes += any(
            np.array_equal(letters.cells[1], stroke_glyph("M", variant))
            for variant in range(VARIANTS)
        )
        mixed += letters.mixed
    assert abs(strokes / count - STROKES) < 0.05
    assert abs(mixed / count - MIXED) < 0.05


def test_a_mixed_plate_alone_has_several_fonts() -> None:
    seen = set()
    for number in range(40):
        letters = lettering(np.random.default_rng(number), "AAAAA")
        different = len({cell.tobytes() for cell in letters.cells})
        assert letters.mixed or different == 1
        seen.add(different > 1)
    assert seen == {True, False}


def test_the_public_checkpoint_reads_most_rendered_plates(real_data: RealData) -> None:
    """It was taught on photographs of one province, so what it reads is drawn as those are: of
    plates in free fonts alone it read 44 %."""
    model = load_model(real_data.checkpoint)
    files = calibration_files(real_data.images)
    calibrate(model, read_images(files, model.architecture.image_format))
    read = partial(compact_logits, reduce(model).compact)
    plates, texts = [], []
    for number in range(PLATES):
        rng = np.random.default_rng((36, number))
        texts.append("皖" + serial(rng, BLUE)[1:])
        plates.append(photograph(rng, draw(rng, BLUE, texts[-1]), 0.6))
    right = [p.text == text for p, text in zip(greedy(read(np.stack(plates))), texts, strict=True)]
    assert sum(right) > 0.75 * PLATES
