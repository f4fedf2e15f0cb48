"""The default model in bfloat16: its kernels on a model of AMX against torch in float64, rounded by
other code than the product's.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from lprnet.commands.dispatch import execute
from lprnet.compiler.network import CompilerInput
from lprnet.compiler.parity import MAX_BF16_ERROR
from lprnet.compiler.targets import AMX_BF16
from lprnet.compression.calibration import rendered_images
from lprnet.compression.reduced import reduce
from lprnet.model.architecture import CONTAINER, Conv
from lprnet.model.checkpoint import load_model
from lprnet.model.preprocessing import normalise
from lprnet.runtime.artifact import read_artifact, read_manifest, runs_here
from lprnet.runtime.cpu import cpu_flags
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.prepared import prepared
from tests.schedules.amx.network_on_model import logits_on_the_model
from tests.schedules.amx.test_bfloat16 import real, to_bfloat16
from tests.shared_results import SharedResults

IMAGES = rendered_images()[:4]


@pytest.fixture(scope="module")
def network(shared_results: SharedResults) -> CompilerInput:
    made, *_ = shared_results.call(prepared, DEFAULT_CHECKPOINT, None, "bf16")
    return made


def rounded(x: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(real(to_bfloat16(x.numpy())).astype(np.float64))


def in_float64(network: CompilerInput, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The same network with sums in float64, so with other roundings where two values are near."""
    model = load_model(DEFAULT_CHECKPOINT)
    model.context_means = network.context_means
    compact = reduce(model).compact

    def conv_relu(conv: Conv, x: torch.Tensor) -> torch.Tensor:
        weight = rounded(compact.weights[conv.name])
        bias = compact.biases[conv.name].double()
        return rounded(F.conv2d(x, weight, bias, padding=conv.padding).relu())

    pixels = torch.from_numpy(normalise(images)).double()
    means = compact.context_means(compact.activations(pixels, conv_relu))
    weight, bias = compact.weights[CONTAINER].double(), compact.biases[CONTAINER].double()
    logits: NDArray[np.float64] = F.conv1d(means, weight[..., 0], bias).numpy()
    return logits


def test_the_expected_logits(network: CompilerInput) -> None:
    expected = network.expected(IMAGES)
    exact = in_float64(network, IMAGES)
    largest = np.abs(exact).max()
    assert np.abs(expected - exact).max() <= network.max_error / 3 * largest
    assert network.max_error == MAX_BF16_ERROR
    assert network.original is not None
    change = np.abs(network.original(IMAGES) - exact).max() / largest
    assert change > 1e-4, "rounding changes something"


def test_the_whole_network_on_a_model_of_the_instructions(
    network: CompilerInput, tmp_path: Path
) -> None:
    exact = in_float64(network, IMAGES)
    classes, positions = exact.shape[1:]
    stored = logits_on_the_model(network, IMAGES, tmp_path)
    found = stored[:, 0, :positions, :classes].transpose(0, 2, 1)
    assert np.abs(found - exact).max() <= network.max_error / 3 * np.abs(exact).max()


BUILD = ["build", "--quantized=bf16"]


def test_an_artifact_is_built_anywhere_and_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute([*BUILD, "--target=sapphirerapids", f"--output={tmp_path}"])
    artifact = tmp_path / "lprnet-bf16-sapphirerapids.so"
    manifest = read_manifest(artifact)
    (version,) = manifest.target_versions
    assert (manifest.variant, manifest.target) == ("bf16", "sapphirerapids")
    assert version.target == AMX_BF16.name
    assert any(kernel.kernel.startswith("bconv3x1") for kernel in version.kernels)
    if not cpu_flags().issuperset(AMX_BF16.flags):
        assert version.parity is None
        with pytest.raises(UserError, match=r"bf16 needs a CPU with AMX and this one lacks .*bf16"):
            Recognizer(artifact)
        # Linux lists the features, and the process is given no tiles: there is no other code.
        monkeypatch.setattr(
            "lprnet.runtime.artifact.cpu_flags", lambda: frozenset(version.cpu_flags)
        )
        opened = read_artifact(artifact)
        assert not runs_here(opened, version)
        with pytest.raises(UserError, match=r"no tile registers \(AMX\), which bf16 needs; build"):
            Recognizer(artifact)


def refused(*flags: str) -> Callable[[Path], str]:
    def sentence(folder: Path) -> str:
        with pytest.raises(UserError) as error:
            execute([*BUILD, f"--output={folder}/out", *flags])
        assert not (folder / "out").exists()
        return str(error.value)

    return sentence


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (refused("--target=icelake-server"), "icelake-server has none"),
        (refused("--target=portable"), "a portable artifact is for CPUs without them too"),
        (refused("--target=sapphirerapids", "--schedule=auto"), "leave out --schedule"),
        (refused("--target=sapphirerapids", "--schedule=hybrid"), "leave out --schedule"),
        (refused("--target=sapphirerapids", "--onnx=a.onnx"), "--onnx writes float32 and int8"),
    ],
)
def test_what_bf16_cannot_be_is_said_before_any_work(
    build: Callable[[Path], str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("lprnet.build.prepare")
    found = build(tmp_path)
    assert sentence in found
    assert "\n" not in found


@pytest.mark.skipif(cpu_flags().issuperset(AMX_BF16.flags), reason="this CPU has AMX")
def test_this_cpu_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("lprnet.build.prepare")
    assert "this CPU has none" in refused()(tmp_path)


@pytest.mark.parametrize("verb", ["tune", "compare"])
def test_searches_do_not_take_it(verb: str) -> None:
    with pytest.raises(UserError, match="invalid choice: 'bf16'"):
        execute([verb, "--quantized=bf16"])
