"""Training: slimming is exact, the loss and the schedule are right, and a kill loses nothing."""

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lprnet.distillation.plate_cache import PlateCache, RenderedPlates
from lprnet.distillation.training_plates import TrainingPlates
from lprnet.model.checkpoint import load_model, save_model
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import LPRNET_CHINA
from lprnet.runtime.alphabet import ALPHABET, CHINA
from lprnet.support.errors import UserError
from lprnet.synthetic.render import render
from lprnet.training.begin import begin
from lprnet.training.data import USES, Feed, batches, collate, fresh_plates
from lprnet.training.device import choose_device
from lprnet.training.network_slimming import (
    batch_norm,
    live_channels,
    narrow,
    normed,
    prune_at_init,
    restore,
)
from lprnet.training.plot import plot_run
from lprnet.training.recipe import Recipe, schedule
from lprnet.training.state import load
from lprnet.training.step import train_step
from lprnet.training.train import LOG, STATE, WEIGHTS, train
from tests.processes import process_group, wait_until

PROJECT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
SMALL = Recipe(
    steps=6, batch=4, validation_every=3, validation_plates=4, save_seconds=0.0, workers=0
)


def random_model(seed: int) -> LPRNet:
    """Random weights, batch-norm statistics and shifts."""
    torch.manual_seed(seed)
    model = LPRNet()
    for conv in normed(model.architecture):
        layer = batch_norm(model, conv)
        layer.running_mean = torch.randn(layer.num_features)
        layer.running_var = torch.rand(layer.num_features) + 0.5
        layer.bias.data.normal_()
    return model.eval()


@settings(max_examples=8)
@given(seed=st.integers(0, 2**31), share=st.sampled_from([0.0, 0.3, 0.9]))
def test_a_narrowed_network_computes_the_same_and_comes_back(seed: int, share: float) -> None:
    model = random_model(seed)
    generator = torch.Generator().manual_seed(seed)
    for conv in normed(model.architecture):
        layer = batch_norm(model, conv)
        dead = torch.rand(layer.num_features, generator=generator) < share
        dead[0] = False  # something has to pass every pool
        layer.weight.data[dead] = 0.0
        # Half of the zero scales keep a shift: a positive one is a visible constant and must stay.
        layer.bias.data[dead & (torch.rand(layer.num_features, generator=generator) < 0.5)] = 0.0
    images = torch.randn(2, 3, 24, 94, generator=generator)
    live = live_channels(model)
    small = narrow(model, live).eval()
    with torch.no_grad():
        expected = model(images)
        torch.testing.assert_close(small(images), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            restore(small.state_dict(), live, LPRNET_CHINA)(images), expected, rtol=1e-4, atol=1e-5
        )
    if share == 0.9:
        count = sum(p.numel() for p in small.parameters())
        assert count < 0.35 * sum(p.numel() for p in model.parameters())


def test_channels_pruned_at_initialisation_stay_out_of_the_way() -> None:
    model = LPRNet()
    prune_at_init(model)
    live = live_channels(model)
    assert [len(kept) for kept in live.values()] == [32, 64, 64, 64, 128, 68]
    # Behind the channel-strided pools nothing that lives is skipped.
    assert (live["backbone.4.block.6"] % 2 == 0).all()
    assert (live["backbone.11.block.6"] % 4 == 0).all()


def test_the_rate_rises_holds_and_falls_to_zero() -> None:
    recipe = Recipe(steps=1000, warmup=100, decaying=0.3)
    rates = [schedule(recipe, step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[99:700] == pytest.approx([1.0] * 601)
    assert rates[850] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.01


def feed_of(cache: PlateCache) -> Feed:
    """Of rendered plates alone, three in a batch."""
    return Feed(5, 3, CHINA, cache, None, None)


def test_batches_depend_on_the_step_alone(tmp_path: Path) -> None:
    source = RenderedPlates(5)
    whole = list(batches(feed_of(PlateCache(tmp_path / "a", source, 4)), 0, 4, workers=0))
    rest = list(batches(feed_of(PlateCache(tmp_path / "b", source, 4)), 2, 4, workers=1))
    assert len(whole) == 4
    for one, other in zip(whole[2:], rest, strict=True):
        torch.testing.assert_close(one.images, other.images, rtol=0, atol=0)
        assert one.targets.tolist() == other.targets.tolist()
        assert one.images.dtype == torch.uint8
        assert len(one.targets) == one.lengths.sum()


def test_every_rendered_plate_is_used_until_the_cache_is_full(tmp_path: Path) -> None:
    cache = PlateCache(tmp_path, RenderedPlates(5), 40)
    feed = Feed(5, 8, CHINA, cache, None, None)
    assert fresh_plates(8) * USES == 8
    known = {cache.source.plate(index)[1]: index for index in range(40)}
    for step in range(30):
        batch = feed[step]
        ends = batch.lengths.cumsum(0).tolist()
        drawn = [
            known["".join(ALPHABET[int(c)] for c in batch.targets[start:end])]
            for start, end in zip([0, *ends], ends, strict=False)
        ]
        assert len(drawn) == 8
        if step < 20:
            assert drawn[:2] == [2 * step, 2 * step + 1]
            assert max(drawn) == 2 * step + 1


def test_every_12th_plate_has_two_rows_and_every_8th_is_green() -> None:
    source = TrainingPlates(seed=5)
    for index in range(48):
        image, text = source.plate(index)
        plain, other = RenderedPlates(seed=5).plate(index)
        assert image.shape == (24, 94, 3)
        assert CHINA.is_plate(text)
        if index % 12 == 0:
            assert text != other
            assert len(text) == 7
        elif index % 8 == 1:
            assert len(text) == 8
        else:
            assert (text, image.tolist()) == (other, plain.tolist())
    assert source.version() != RenderedPlates(seed=5).version()


# The child adds in the order of this process, which conftest.py has asked for.
RUN = """
import sys
from pathlib import Path
from lprnet.compression.same_sums import same_sums_on_every_cpu
same_sums_on_every_cpu()
from tests.training.test_train import SMALL
from lprnet.training.train import train
train(SMALL, Path(sys.argv[1]))
"""


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    """SIGKILL somewhere in the middle; the resumed run ends bit for bit like an undisturbed one."""
    assert Recipe(steps=1).save_seconds <= 60  # what a kill may cost by default
    torch.set_num_threads(1)
    killed = tmp_path / "killed"
    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    command, output = [sys.executable, "-c", RUN, str(killed)], tmp_path / "output"
    with process_group(command, output, environment) as process:
        wait_until((killed / STATE).exists, process, output)
    before = load(killed / STATE, SMALL, CPU).step
    assert 1 <= before < SMALL.steps
    train(SMALL, killed, resume=True)
    train(SMALL, tmp_path / "whole")
    one = load_model(killed / WEIGHTS).state_dict()
    for name, tensor in load_model(tmp_path / "whole" / WEIGHTS).state_dict().items():
        assert torch.equal(one[name], tensor), name
    with (killed / LOG).open(newline="") as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [3, 6]
    assert not list((tmp_path / "whole").glob(".*partial"))
    plot_run(killed / LOG, tmp_path / "run.png")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_resuming_nothing_or_garbage_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run to resume"):
        train(SMALL, tmp_path, resume=True)
    (tmp_path / STATE).write_bytes(b"PK\x03\x04 truncated")
    with pytest.raises(UserError, match="no state of a training run"):
        train(SMALL, tmp_path, resume=True)
    with pytest.raises(UserError, match="no log"):
        plot_run(tmp_path / "absent.csv", tmp_path / "run.png")


@pytest.mark.parametrize(
    ("name", "start"), [("run.png", b"\x89PNG"), ("run.svg", b"<?xml"), ("run.pdf", b"%PDF")]
)
def test_a_run_is_drawn_in_the_format_that_the_file_name_says(
    name: str, start: bytes, tmp_path: Path
) -> None:
    (tmp_path / LOG).write_text("step,loss,accuracy\n1,2.0,0.1\n2,1.0,0.2\n")
    plot_run(tmp_path / LOG, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_a_run_is_not_replaced_unasked(tmp_path: Path) -> None:
    """Weights and state of hours; each of them alone is enough to ask first."""
    for name in (STATE, WEIGHTS):
        directory = tmp_path / name
        directory.mkdir()
        (directory / name).write_bytes(b"hours")
        with pytest.raises(UserError, match=rf"holds a training run \({name}\).*--overwrite"):
            train(SMALL, directory)
        assert (directory / name).read_bytes() == b"hours"
    one_step = replace(SMALL, steps=1)
    train(one_step, tmp_path / STATE, overwrite=True)
    assert load_model(tmp_path / STATE / WEIGHTS)
    with pytest.raises(UserError, match=WEIGHTS):
        train(one_step, tmp_path / STATE)
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / LOG).write_text("step\n")
    train(one_step, tmp_path / "early")


def test_what_cannot_begin_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run to resume"):
        train(SMALL, tmp_path / "absent", resume=True)
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "run", Path("/proc/self/absent")):
        with pytest.raises(UserError, match="cannot be written"):
            train(SMALL, place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_fine_tuning_starts_from_the_checkpoint(tmp_path: Path) -> None:
    model = random_model(1)
    save_model(model, tmp_path / "m.safetensors")
    state = begin(SMALL, load_model(tmp_path / "m.safetensors"), CPU)
    images = torch.randn(1, 3, 24, 94)
    with torch.no_grad():
        torch.testing.assert_close(state.averaged()(images), model(images), rtol=1e-4, atol=1e-5)


def test_a_few_steps_teach_something(tmp_path: Path) -> None:
    """The loss of the same eight plates falls well below what any constant output can reach."""
    recipe = Recipe(steps=40, batch=8, warmup=5, seed=3)
    state = begin(recipe, None, CPU)
    plates = [render(3, index, 0.2) for index in range(8)]
    images = np.stack([image for image, _ in plates])
    batch = collate(images, [text for _, text in plates], CHINA)
    losses = [train_step(state, batch, recipe, choose_device()) for _ in range(40)]
    assert losses[-1] < 0.5 * losses[5]
    assert state.step == 40


def test_the_script_ends_a_users_mistake_with_one_line(tmp_path: Path) -> None:
    script = [sys.executable, str(PROJECT / "scripts" / "train.py")]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    wrong = subprocess.run(
        [*script, "--resume", "--output", str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert wrong.returncode == 2
    assert "no run to resume" in wrong.stderr
    assert wrong.stderr.count("\n") == 1
