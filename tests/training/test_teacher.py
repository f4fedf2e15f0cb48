"""Teachers: which ones fit, what they add to the loss, and what a student learns from one."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lprnet.distillation.losses import agreement, ctc_loss, divergence
from lprnet.model.alphabets import find_alphabet
from lprnet.model.checkpoint import load_model, save_model
from lprnet.model.lprnet import LPRNet, calibrate_context_means
from lprnet.model.published_lprnet import LPRNET_CHINA, lprnet
from lprnet.runtime.alphabet import BLANK, CHINA, Alphabet
from lprnet.support.errors import UserError
from lprnet.synthetic.render import render
from lprnet.training import device as device_module
from lprnet.training.begin import begin
from lprnet.training.data import collate
from lprnet.training.device import Device, choose_device
from lprnet.training.material import Sources, gather
from lprnet.training.recipe import Recipe
from lprnet.training.state import load
from lprnet.training.step import logits_of, loss_of, train_step, views
from lprnet.training.teacher import Teacher, load_teacher
from lprnet.training.train import STATE, WEIGHTS, train
from lprnet.weights import DEFAULT_CHECKPOINT

CPU = torch.device("cpu")
RECIPE = Recipe(
    steps=3, batch=8, validation_every=3, validation_plates=4, save_seconds=0.0, workers=0
)


def plates(count: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Rendered ones at difficulty 1."""
    drawn = [render(9, index) for index in range(count)]
    return np.stack([image for image, _ in drawn]), [text for _, text in drawn]


def shipped() -> Teacher:
    """The weights that ship, as a teacher."""
    images = views(torch.from_numpy(plates(8)[0]), 1, 1, CPU)
    return Teacher(load_model(DEFAULT_CHECKPOINT), images, choose_device())


def test_a_teacher_answers_as_its_checkpoint_does() -> None:
    images = views(torch.from_numpy(plates(8)[0]), 1, 1, CPU)
    model = load_model(DEFAULT_CHECKPOINT)
    answer = Teacher(load_model(DEFAULT_CHECKPOINT), images, Device(CPU, False, 0, "a CPU")).logits(
        images
    )
    model.context_means = calibrate_context_means(model, images)
    with torch.no_grad():
        torch.testing.assert_close(answer, model(images), rtol=1e-3, atol=1e-2)


def test_a_teacher_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    for architecture, what in (
        (lprnet(find_alphabet("latin")), "the alphabet latin"),
        (lprnet(CHINA, 24, 110), "110x24"),
        (lprnet(CHINA, channels=1), "94x24 grey"),
    ):
        save_model(LPRNet(architecture), path)
        with pytest.raises(UserError, match=f"{path.name} cannot teach here: it has {what}"):
            load_teacher(path, LPRNET_CHINA)
    assert load_teacher(DEFAULT_CHECKPOINT, LPRNET_CHINA).architecture.positions == 18


def test_a_teacher_of_an_unknown_alphabet_reads_the_students(tmp_path: Path) -> None:
    """If it has as many classes, and nobody said that they are others."""
    path, ours = tmp_path / "other.pth", Alphabet("ours", (*"XYZ", "<blank>"), 3)
    torch.save(LPRNet(lprnet(ours)).state_dict(), path)
    assert load_teacher(path, lprnet(ours)).architecture.alphabet == ours
    with pytest.raises(UserError, match=r"teach here: it has 4 classes, .* in training has 68; gi"):
        load_teacher(path, LPRNET_CHINA)
    said = {"alphabet": {"name": "theirs", "symbols": [*"ZYX", "<blank>"], "blank": 3}}
    (tmp_path / "other.pth.json").write_text(json.dumps(said))
    with pytest.raises(UserError, match="it has the alphabet theirs"):
        load_teacher(path, lprnet(ours))


def test_the_loss_is_ctc_and_the_divergence_where_the_teacher_counts() -> None:
    """The last two of eight images have no label: there the teacher counts at every position. The
    first has another plate's label, so there it counts nowhere."""
    images, texts = plates(8)
    batch = collate(images, [texts[1], *texts[1:6]], CHINA)
    normalised, teacher = views(batch.images, 1, 1, CPU), shipped()
    logits = torch.randn(8, 68, 18, generator=torch.Generator().manual_seed(1))
    loss = loss_of(logits, batch, RECIPE, BLANK, teacher, normalised)
    answer = teacher.logits(normalised)
    labels = (batch.targets, batch.lengths, BLANK)
    where = torch.cat([agreement(answer[:6], *labels), torch.ones(2, 18, dtype=torch.bool)])
    assert not where[0].any()
    assert 36 < int(where.sum()) < 8 * 18
    expected = divergence(logits, answer, where) + 1.5 * ctc_loss(logits[:6], *labels)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    alone = loss_of(logits, batch, RECIPE, BLANK, None, normalised)
    assert float(alone) == pytest.approx(float(ctc_loss(logits[:6], *labels)), rel=1e-5)


def test_a_student_comes_closer_to_its_teacher() -> None:
    recipe = replace(RECIPE, steps=24, warmup=5, seed=3)
    state, teacher = begin(recipe, None, CPU), shipped()
    batch = collate(*plates(8), CHINA)
    losses = [train_step(state, batch, recipe, choose_device(), teacher) for _ in range(24)]
    assert losses[-1] < 0.6 * losses[3]


def test_a_run_with_a_teacher_and_unlabelled_images_resumes(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for index, image in enumerate(plates(3)[0]):
        cv2.imwrite(str(tmp_path / "images" / f"{index}.png"), image)
    sources = Sources(unlabelled=tmp_path / "images", teacher=DEFAULT_CHECKPOINT)
    torch.set_num_threads(1)
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    start = load_model(DEFAULT_CHECKPOINT)
    train(RECIPE, whole, sources, checkpoint=start)
    train(replace(RECIPE, minutes=0), halves, sources, checkpoint=start)
    assert load(halves / STATE, RECIPE, CPU).step == 1
    with pytest.raises(UserError, match="learns from --teacher --unlabelled; resume it with"):
        train(RECIPE, halves, Sources(teacher=DEFAULT_CHECKPOINT), resume=True)
    train(RECIPE, halves, sources, resume=True)
    one = load_model(halves / WEIGHTS).state_dict()
    for name, tensor in load_model(whole / WEIGHTS).state_dict().items():
        assert torch.equal(one[name], tensor), name


def test_unlabelled_images_are_a_quarter_and_need_a_teacher(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.full((24, 94, 3), 77, np.uint8))
    state = begin(RECIPE, None, CPU)
    where = (state, RECIPE, tmp_path / "plates", choose_device())
    with pytest.raises(UserError, match="--teacher"):
        gather(Sources(unlabelled=tmp_path / "images"), *where)
    material = gather(Sources(None, tmp_path / "images", DEFAULT_CHECKPOINT), *where)
    batch = material.feed[0]
    assert (len(batch.images), len(batch.lengths)) == (8, 6)
    assert [bool((image == 77).all()) for image in batch.images] == [False] * 6 + [True] * 2


def test_contexts_are_normalised_over_the_batch_and_in_every_second_image_alone() -> None:
    model = load_model(DEFAULT_CHECKPOINT)
    images = views(torch.from_numpy(plates(6)[0]), 1, 1, CPU)
    with torch.no_grad():
        together = logits_of(model, images)
        alone = model(images)
        model.context_means = calibrate_context_means(model, images)
        same = partial(torch.allclose, rtol=1e-4, atol=1e-3)
        assert same(together[::2], model(images)[::2])
        assert same(together[1::2], alone[1::2])
        assert not same(together[::2], alone[::2])


def test_bfloat16_changes_the_loss_little_and_keeps_the_weights_float32() -> None:
    """As on a GPU or a CPU that multiplies bfloat16; others compute it slowly."""
    losses = []
    for bfloat16 in (False, True):
        state = begin(replace(RECIPE, seed=3), load_model(DEFAULT_CHECKPOINT), CPU)
        device = Device(CPU, bfloat16, 0, "a CPU")
        losses.append(train_step(state, collate(*plates(8), CHINA), RECIPE, device, shipped()))
        assert all(parameter.dtype == torch.float32 for parameter in state.model.parameters())
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
    assert losses[1] != losses[0]


def test_bfloat16_is_used_where_the_cpu_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for flags, fast in (
        ({"avx2"}, False),
        ({"avx2", "avx512f", "amx_tile"}, False),
        ({"avx512_bf16"}, True),
        ({"amx_tile", "amx_bf16"}, True),
    ):
        monkeypatch.setattr(device_module, "cpu_flags", lambda flags=flags: frozenset(flags))
        device = choose_device()
        assert (device.device.type, device.bfloat16) == ("cpu", fast)
        assert ("in bfloat16" in device.name) == fast
