"""Training towards the unpruned network: closer afterwards, the same after a kill, kept."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lprnet.compression.compact import CompactNetwork
from lprnet.compression.distill.batches import Pixels, mixed_plates, step_images
from lprnet.compression.distill.recipe import MAX_PLATES, Recipe
from lprnet.compression.distill.result import read_result, write_result
from lprnet.compression.distill.teacher import Answers, torch_answers
from lprnet.compression.distill.train import tensors, train
from lprnet.distillation.losses import divergence
from lprnet.model.architecture import CONTAINER
from lprnet.model.published_lprnet import LPRNET_CHINA
from lprnet.support.errors import UserError

CPU = torch.device("cpu")
RECIPE = Recipe(steps=12, batch=4, own=1, warm_up=3, learning_rate=2e-2)


def random_network(seed: int, width: int) -> CompactNetwork:
    """Every convolution has `width` channels, so that a step takes milliseconds."""
    generator = torch.Generator().manual_seed(seed)
    weights, biases, inputs = {}, {}, 3
    for conv in LPRNET_CHINA.backbone:
        shape = (width, inputs, *conv.kernel)
        scale = (2 / (inputs * conv.kernel[0] * conv.kernel[1])) ** 0.5
        weights[conv.name] = scale * torch.randn(shape, generator=generator)
        biases[conv.name] = 0.1 * torch.randn(width, generator=generator)
        inputs = width
    columns = width * len(LPRNET_CHINA.contexts)
    weights[CONTAINER] = torch.randn((LPRNET_CHINA.classes, columns, 1, 1), generator=generator) / (
        columns**0.5
    )
    biases[CONTAINER] = torch.zeros(LPRNET_CHINA.classes)
    return CompactNetwork(LPRNET_CHINA, weights, biases)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Layers as narrow as these are slower on several, and far slower beside other processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def teacher() -> CompactNetwork:
    return random_network(0, 4)


@pytest.fixture(scope="module")
def answers(teacher: CompactNetwork) -> Answers:
    return partial(torch_answers, teacher)


@pytest.fixture(scope="module")
def student(teacher: CompactNetwork) -> CompactNetwork:
    """The teacher, moved away from itself."""
    generator = torch.Generator().manual_seed(1)
    weights = {
        name: one * (1 + 0.3 * torch.randn(one.shape, generator=generator))
        for name, one in teacher.weights.items()
    }
    return replace(teacher, weights=weights)


@pytest.fixture(scope="module")
def own() -> torch.Tensor:
    return torch.rand(3, 3, 24, 94, generator=torch.Generator().manual_seed(2)) * 2 - 1


def plates(first: int, last: int = RECIPE.steps) -> Iterator[Pixels]:
    for step in range(first, last):
        rng = np.random.default_rng(step)
        yield rng.integers(0, 256, (RECIPE.batch - RECIPE.own, 24, 94, 3), dtype=np.uint8)


def test_it_comes_closer_and_leaves_both_networks_as_they_are(
    student: CompactNetwork,
    teacher: CompactNetwork,
    answers: Answers,
    own: torch.Tensor,
    tmp_path: Path,
) -> None:
    before = {name: one.clone() for name, one in tensors(student).items()}
    trained = train(student, answers, own, RECIPE, plates, tmp_path / "state", CPU)
    with torch.no_grad():
        expected = teacher.logits(own)
        far, near = (float(divergence(one.logits(own), expected)) for one in (student, trained))
    assert near < 0.9 * far
    for name, tensor in tensors(student).items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
    assert not list(tmp_path.iterdir())


def test_a_run_that_is_ended_goes_on_as_if_it_had_not_been(
    student: CompactNetwork,
    answers: Answers,
    own: torch.Tensor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lprnet.compression.distill.train.SAVED_EVERY", 3)
    whole = train(student, answers, own, RECIPE, plates, tmp_path / "whole", CPU)
    begun: list[int] = []

    def interrupted(first: int) -> Iterator[Pixels]:
        begun.append(first)
        yield from plates(first, 8)
        raise KeyboardInterrupt

    def resumed(first: int) -> Iterator[Pixels]:
        begun.append(first)
        return plates(first)

    state = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        train(student, answers, own, RECIPE, interrupted, state, CPU)
    again = train(student, answers, own, RECIPE, resumed, state, CPU)
    assert begun == [0, 6]
    for name, tensor in tensors(whole).items():
        torch.testing.assert_close(tensors(again)[name], tensor, rtol=0, atol=0)


def test_a_damaged_state_is_named(
    student: CompactNetwork, answers: Answers, own: torch.Tensor, tmp_path: Path
) -> None:
    state = tmp_path / "it.training"
    state.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"it\.training is no state"):
        train(student, answers, own, RECIPE, plates, state, CPU)


def test_a_result_is_read_as_it_was_written(student: CompactNetwork, tmp_path: Path) -> None:
    file = tmp_path / "it.safetensors"
    write_result(file, student, {"how": "by hand"})
    found = read_result(file, student.architecture)
    assert tensors(found).keys() == tensors(student).keys()
    for name, tensor in tensors(student).items():
        torch.testing.assert_close(tensors(found)[name], tensor, rtol=0, atol=0)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"it\.safetensors is damaged"):
        read_result(file, student.architecture)


def test_a_step_sees_the_same_images_again(own: torch.Tensor) -> None:
    rendered = next(plates(3))
    images = [step_images(rendered, own, RECIPE, step, CPU) for step in (3, 3, 4)]
    assert images[0].shape == (RECIPE.batch, 24, 94, 3)
    assert images[0].dtype == torch.uint8
    torch.testing.assert_close(images[0], images[1], rtol=0, atol=0)
    assert not torch.equal(images[0], images[2])


def test_mixed_plates_are_cut_from_two_images() -> None:
    """Left of the cut one image, right of it another, up to light and noise."""
    images = torch.tensor([-0.5, 0.5])[:, None, None, None].expand(2, 3, 24, 94)
    mixed = mixed_plates(images, 64, torch.Generator().manual_seed(0))
    assert mixed.shape == (64, 3, 24, 94)
    assert mixed.abs().max() <= 1
    columns = mixed.mean(dim=(1, 2))
    jumps = (columns[:, 1:] - columns[:, :-1]).abs() > 0.4
    assert set(jumps.sum(1).tolist()) == {0, 1}


def test_the_rate_rises_then_falls_to_nothing() -> None:
    recipe = Recipe(steps=1000)
    rates = [recipe.rate(step) for step in range(1000)]
    assert rates[0] < rates[100] < max(rates) == recipe.learning_rate
    assert rates[250] == recipe.learning_rate
    assert rates[300:] == sorted(rates[300:], reverse=True)
    assert 0 < rates[-1] < 0.002 * recipe.learning_rate


def test_pools_are_the_same_with_gradients_and_cost_one_function() -> None:
    """Gradients of shifted maps took three quarters of a step."""
    network = random_network(3, 4)
    images = torch.randn(2, 3, 24, 94, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        expected = network.logits(images)
    with torch.enable_grad():
        images.requires_grad_()
        torch.testing.assert_close(network.logits(images), expected, rtol=1e-6, atol=1e-6)
        conv = next(one for one in LPRNET_CHINA.backbone if one.pool is not None)
        pooled = network.input(conv, torch.randn(2, 4, 20, 90, requires_grad=True))
    assert pooled.grad_fn is not None
    assert pooled.grad_fn.name() == "MaxPool2DWithIndicesBackward0"


def test_a_long_recipe_renders_no_more_than_fit_on_disk() -> None:
    assert Recipe(steps=10**6).plates == MAX_PLATES
    assert Recipe(steps=1).plates > 0
