from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st

from lprnet.compiler.complexity import count_macs, count_parameters
from lprnet.compiler.frontend import to_relax
from lprnet.model.checkpoint import load_model
from lprnet.model.lprnet import LPRNet, calibrate_context_means
from lprnet.model.preprocessing import normalise
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.runtime.image_io import read_image
from lprnet.runtime.image_paths import list_images
from relay_passes.pipeline import reduce_graph
from tests.conftest import RealData
from tests.relax_networks import Damage, miniature
from tests.relax_reference import evaluate

CALIBRATED = {
    "nn.conv2d", "add", "nn.relu", "nn.max_pool2d", "nn.avg_pool2d", "strided_slice", "concat",
    "squeeze",
}  # fmt: skip
PER_IMAGE = CALIBRATED | {"square", "mean", "multiply", "divide"}


def operators(graph: tvm.IRModule) -> set[str]:
    calls = (b.value for b in graph["main"].body.blocks[0].bindings if hasattr(b.value, "op"))
    return {call.op.name.removeprefix("relax.") for call in calls}


def assert_close(got: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    """Within `tolerance` of the largest expected value; NaN (a context of zeros) where expected."""
    scale = float(expected.nan_to_num().abs().max())
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance * scale, equal_nan=True)


def in_chunks(network: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The network's output, 10 images at a time: large batches spend their time in memory."""
    with torch.no_grad(), subnormals_as_zero():
        return torch.cat([network(x[start : start + 10]) for start in range(0, len(x), 10)])


shares = st.sampled_from([0.0, 0.3, 0.8, 1.0])


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    norm=shares,
    gamma=st.sampled_from([0.0, 1e-41, 1e-20, -1e-12, 1e-7]),
    inner=shares,
    inner_bias=st.sampled_from([0.0, -0.5, 0.3, 1e-30]),
    unread=st.sampled_from([0.0, 0.5]),
    means=st.sampled_from([None, (1.0, 0.02, 7.0, 0.3)]),
)
def test_any_damaged_lprnet_stays_the_same_function(
    seed: int,
    norm: float,
    gamma: float,
    inner: float,
    inner_bias: float,
    unread: float,
    means: Sequence[float] | None,
) -> None:
    rng = np.random.default_rng(seed)
    before = miniature(rng, Damage(norm, gamma, inner, inner_bias, unread), means)
    after = reduce_graph(before)
    x = torch.from_numpy(rng.uniform(-1, 1, (2, 3, 24, 94)))
    assert operators(after) <= (PER_IMAGE if means is None else CALIBRATED)
    assert count_macs(after) <= count_macs(before)
    assert_close(evaluate(after, x), evaluate(before, x), 3e-6)


def test_reducing_twice_changes_nothing_more() -> None:
    damage = Damage(norm=0.5, inner=0.3, inner_bias=0.2)
    once = reduce_graph(miniature(np.random.default_rng(0), damage, (1.0, 0.5, 2.0, 0.3)))
    tvm.ir.assert_structural_equal(reduce_graph(once), once)


@pytest.mark.parametrize("means", [None, (0.6, 0.3, 6.7, 0.2)])
def test_a_fresh_lprnet_equals_torch(means: Sequence[float] | None) -> None:
    torch.manual_seed(0)
    model = LPRNet(context_means=means).eval()
    x = torch.rand(2, 3, 24, 94) * 2 - 1
    with torch.no_grad():
        expected = model(x)
    assert_close(evaluate(reduce_graph(to_relax(model)), x), expected, 1e-4)


@pytest.fixture(scope="module")
def public(real_data: RealData) -> tuple[LPRNet, torch.Tensor]:
    """The public checkpoint with constants from 100 images, and 200 others."""
    paths = list_images([str(real_data.images)])
    order = np.random.default_rng(0).permutation(len(paths))[:300]
    pixels = np.stack([read_image(paths[index]) for index in order])
    x = torch.from_numpy(normalise(pixels))
    model = load_model(real_data.checkpoint)
    with subnormals_as_zero():
        model.context_means = calibrate_context_means(model, x[:100])
    return model, x[100:]


def plates(logits: torch.Tensor) -> list[list[int]]:
    """Greedy CTC, blank 67."""
    best = logits.argmax(1).tolist()
    pairs = [zip([None, *row], row, strict=False) for row in best]
    return [[now for last, now in row if now not in (last, 67)] for row in pairs]


def test_the_public_checkpoint_is_halved_and_reads_the_same(
    public: tuple[LPRNet, torch.Tensor],
) -> None:
    model, images = public
    exported = to_relax(model)
    reduced = reduce_graph(exported)
    assert count_macs(exported) == 144_411_264
    assert count_macs(reduced) <= 67_000_000
    assert count_parameters(reduced) <= 108_000
    expected = in_chunks(model, images)
    got = in_chunks(lambda x: evaluate(reduced, x), images)
    assert_close(got, expected, 1e-5)
    assert plates(got) == plates(expected)


def test_without_constants_the_public_checkpoint_keeps_its_per_image_norm(
    public: tuple[LPRNet, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, images = public
    monkeypatch.setattr(model, "context_means", None)
    reduced = reduce_graph(to_relax(model))
    expected = in_chunks(model, images[:50])
    got = in_chunks(lambda x: evaluate(reduced, x), images[:50])
    assert_close(got, expected, 1e-5)
    assert plates(got) == plates(expected)
