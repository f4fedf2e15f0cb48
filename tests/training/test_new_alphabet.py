"""Another alphabet on trained weights: what is kept, what is new, and a run from labels to a file
that a build reads without a flag."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lprnet.model.alphabets import find_alphabet
from lprnet.model.architecture import CONTAINER
from lprnet.model.checkpoint import load_model, save_model
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import LPRNET_CHINA, lprnet, resized
from lprnet.runtime.alphabet import CHINA, Alphabet
from lprnet.support.errors import UserError
from lprnet.training.begin import begin, starting_network
from lprnet.training.material import Sources
from lprnet.training.new_alphabet import with_alphabet
from lprnet.training.progress import hopeless
from lprnet.training.recipe import Recipe
from lprnet.training.train import WEIGHTS, train
from lprnet.training.validation import Result
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.training.test_train import random_model

LATIN = find_alphabet("latin")
CPU = torch.device("cpu")
RECIPE = Recipe(
    steps=2, batch=4, validation_every=1, validation_plates=4, save_seconds=0.0, workers=0
)


def test_known_classes_keep_their_weights_and_the_backbone_stays() -> None:
    """On the same image, what the two networks say of shared classes differs only by what the
    container reads of classes that one of them lacks."""
    model = random_model(3)
    changed = with_alphabet(model, LATIN, None)
    assert changed.architecture == lprnet(LATIN)
    images = torch.randn(2, 3, 24, 94)
    with torch.no_grad():
        before, after = model.contexts(images), changed.contexts(images)
    for one, other in zip(before[:3], after[:3], strict=True):
        assert torch.equal(one, other)
    shared = [s for s in LATIN.symbols if s in CHINA.symbols]
    assert len(shared) == 37
    ours = [LATIN.index[s] for s in shared]
    theirs = [CHINA.index[s] for s in shared]
    torch.testing.assert_close(after[3][:, ours], before[3][:, theirs])
    new, old = changed.state_dict(), model.state_dict()
    assert torch.equal(
        new[f"{CONTAINER}.weight"][ours, :448], old[f"{CONTAINER}.weight"][theirs, :448]
    )
    columns = [448 + index for index in ours], [448 + index for index in theirs]
    assert torch.equal(
        new[f"{CONTAINER}.weight"][ours][:, columns[0]],
        old[f"{CONTAINER}.weight"][theirs][:, columns[1]],
    )
    assert torch.equal(new[f"{CONTAINER}.bias"][ours], old[f"{CONTAINER}.bias"][theirs])


def test_the_same_alphabet_changes_nothing() -> None:
    model = random_model(4)
    same = with_alphabet(model, CHINA, (94, 24))
    images = torch.randn(2, 3, 24, 94)
    with torch.no_grad():
        assert torch.equal(same(images), model(images))


def test_new_classes_can_learn_wherever_the_blank_is() -> None:
    """Every class has a gradient, also one that no plate of China has, and the blank is ours."""
    alphabet = Alphabet("mine", ("_", "Ж", "7", "あ"), 0)
    changed = with_alphabet(load_model(DEFAULT_CHECKPOINT), alphabet, None)
    state = begin(RECIPE, changed, CPU)
    assert state.live["backbone.20"].tolist() == [0, 1, 2, 3]
    weight, old = changed.state_dict(), load_model(DEFAULT_CHECKPOINT).state_dict()
    container = f"{CONTAINER}.weight"
    assert torch.equal(weight[container][0, :448], old[container][CHINA.blank, :448])
    assert torch.equal(weight[container][2, :448], old[container][CHINA.index["7"], :448])


@pytest.mark.parametrize("size", [(94, 24), (128, 32), (96, 48), (160, 24)])
def test_pools_of_another_size_meet(size: tuple[int, int]) -> None:
    width, height = size
    assert resized(LPRNET_CHINA, height, width) == lprnet(CHINA, height, width)
    changed = with_alphabet(random_model(1), LATIN, size)
    with torch.no_grad():
        logits = changed(torch.randn(1, 3, height, width))
    assert logits.shape == (1, 37, changed.architecture.positions)


def labelled(folder: Path, texts: list[str], repeat: int) -> Path:
    """Noise under these labels."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(repeat):
        for text in texts:
            picture = rng.integers(0, 256, (32, 128, 3), np.uint8)
            cv2.imwrite(str(folder / f"{text}_{number}.png"), picture)
    return folder


def test_a_run_on_short_long_and_repeated_labels_at_another_size(tmp_path: Path) -> None:
    """`AA`, eleven characters, one character; the file says alphabet and size by itself."""
    folder = labelled(tmp_path / "plates", ["AA", "AB123CD45EF", "7", "1111"], 6)
    shown: list[str] = []
    start = starting_network(None, "latin", (128, 32))
    trained = train(
        replace(RECIPE, steps=3),
        tmp_path / "run",
        Sources(folder),
        checkpoint=start,
        show=shown.append,
    )
    model = load_model(trained)
    assert model.architecture.alphabet == LATIN
    assert model.architecture.image_shape == (3, 32, 128)
    assert not (tmp_path / "run" / "plates").exists()
    assert [line.split(":")[0] for line in shown if "loss" in line] == [
        "step 1",
        "step 2",
        "step 3",
    ]
    again = train(replace(RECIPE, steps=4), tmp_path / "run", Sources(folder), resume=True)
    assert load_model(again).architecture.alphabet == LATIN


def test_what_cannot_be_learnt_from_is_said_before_training(tmp_path: Path) -> None:
    latin = starting_network(None, "latin", None)
    with pytest.raises(UserError, match=r"China's alphabet at 94x24 alone, not in latin.*--data"):
        train(RECIPE, tmp_path / "run", checkpoint=latin)
    few = labelled(tmp_path / "few", ["A"], 9)
    with pytest.raises(UserError, match="9 labelled images, too few"):
        train(RECIPE, tmp_path / "run", Sources(few), checkpoint=latin)
    with pytest.raises(UserError, match="too small"):
        starting_network(None, None, (20, 20))
    assert not (tmp_path / "run" / WEIGHTS).exists()


def test_a_checkpoint_of_another_alphabet_is_fine_tuned_as_it_is(tmp_path: Path) -> None:
    save_model(LPRNet(lprnet(LATIN)), tmp_path / "other.safetensors")
    start = starting_network(tmp_path / "other.safetensors", None, None)
    assert start is not None
    assert start.architecture.alphabet == LATIN


def test_a_checkpoint_of_an_unknown_alphabet_reads_the_one_that_is_given(tmp_path: Path) -> None:
    """If that has as many classes; else its own is said beside it, so that what both have stays."""
    theirs, path = Alphabet("theirs", (*"XYZ", "<blank>"), 3), tmp_path / "other.pth"
    state = LPRNet(lprnet(theirs)).state_dict()
    torch.save(state, path)
    for name, symbols in (("same", "X\nY\nZ\n<blank>\n"), ("more", "W\nX\nY\nZ\n<blank>\n")):
        (tmp_path / f"{name}.txt").write_text(symbols)
    same, more = (str(tmp_path / f"{name}.txt") for name in ("same", "more"))
    start = starting_network(path, same, None)
    assert start is not None
    assert all(torch.equal(value, state[name]) for name, value in start.state_dict().items())
    with pytest.raises(UserError, match=r"4 classes, .* is not known, and .*more\.txt has 5; say"):
        starting_network(path, more, None)
    with pytest.raises(UserError, match="no known alphabet has as many.*give --alphabet FILE"):
        starting_network(path, None, (128, 32))
    said = {"alphabet": {"name": "theirs", "symbols": [*"XYZ", "<blank>"], "blank": 3}}
    (tmp_path / "other.pth.json").write_text(json.dumps(said))
    start = starting_network(path, more, None)
    assert start is not None
    bias = f"{CONTAINER}.bias"
    assert torch.equal(start.state_dict()[bias][1:], state[bias])


def test_a_diverged_run_stops_at_once(tmp_path: Path) -> None:
    folder = labelled(tmp_path / "plates", ["AB"], 12)
    broken = starting_network(None, "latin", None)
    assert broken is not None
    broken.get_parameter(f"{CONTAINER}.bias").data[0] = torch.nan
    with pytest.raises(UserError, match="loss of step 0 is nan: the run has diverged"):
        train(RECIPE, tmp_path / "run", Sources(folder), checkpoint=broken)
    assert not (tmp_path / "run" / WEIGHTS).exists()


def test_a_run_that_reads_nothing_says_so_early(tmp_path: Path) -> None:
    """Labels that have nothing to do with their images."""
    folder = labelled(tmp_path / "plates", ["ZZZZZZZZZ"], 12)
    shown: list[str] = []
    start = starting_network(None, "latin", None)
    train(
        replace(RECIPE, steps=4),
        tmp_path / "run",
        Sources(folder),
        checkpoint=start,
        show=shown.append,
    )
    (said,) = [line for line in shown if line.startswith("none of 1 validation plates")]
    assert "is labelled 'ZZZZZZZZZ' and read as" in said
    assert "3 validations" in hopeless(Result(1, 0, 0, []))
