"""A profile of an artifact: its parts are those of the call, and add up to it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lprnet.compiler.compile import Build, Source, compile_network
from lprnet.compiler.targets import find_target
from lprnet.compression.compiler_inputs import float_network
from lprnet.measure.kernel_profile import KernelProfile, profile, summary
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import lprnet
from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.artifact import read_artifact, write_artifact
from lprnet.runtime.manifest import PADDING
from lprnet.runtime.recognizer import Recognizer
from lprnet.runtime.stamped_recognizer import StampedRecognizer
from lprnet.support.errors import UserError
from tests.runtime.tiny_artifact import artifact

SMALL = lprnet(Alphabet("four", ("a", "b", "c", "-"), 3), 24, 94, widths=(8, 16, 16, 16, 16))


def noise(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, 24, 94, 3), np.uint8)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A small network, built to be profiled."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("profile")
    checkpoint = folder / "small.pth"
    model = LPRNet(SMALL, context_means=(1.0,) * 4).eval()
    torch.save(model.state_dict(), checkpoint)
    stamped = replace(float_network(model), stamped=True)
    source, path = Source(checkpoint, ()), folder / "lprnet-fp32-native.so"
    return compile_network(stamped, [find_target("native")], source, noise(2), path)


def test_stamps_change_no_bit_and_grow(built: Build) -> None:
    whole = read_artifact(built.artifact)
    plain, stamped = Recognizer(whole), StampedRecognizer(whole)
    before = None
    for image in noise(3):
        np.testing.assert_array_equal(stamped.logits(image[None]), plain.logits(image[None]))
        stamps = stamped.stamps()
        assert len(stamps) == len(stamped.target_version.steps) + 3
        assert (np.diff(stamps) >= 0).all()
        assert before is None or before[-1] < stamps[0]
        before = stamps
    plain.logits(noise(1))
    np.testing.assert_array_equal(stamped.stamps(), before)


def test_steps_are_the_kernels_in_order_and_the_zeros_that_they_read(built: Build) -> None:
    (version,) = built.manifest.target_versions
    kernels = [step for step in version.steps if not step.startswith(PADDING)]
    assert set(kernels) == {kernel.kernel for kernel in version.kernels}
    padded = [step.removeprefix(PADDING) for step in version.steps if step.startswith(PADDING)]
    assert padded
    for name in padded:
        assert version.steps.index(PADDING + name) < version.steps.index(name)
    convolutions = [name for name in kernels if name.startswith("conv")]
    assert convolutions[0].startswith("conv3x3")


def test_the_parts_add_up_to_the_call(built: Build) -> None:
    found = profile(built.artifact, calls=20)
    steps = built.manifest.target_versions[0].steps
    assert [k.step for k in found.kernels] == [s for s in steps if not s.startswith(PADDING)]
    parts = found.kernels_us + found.zeros_us + found.dispatch_us + found.python_us
    assert parts == pytest.approx(found.call_us)
    assert min(found.kernels_us, found.dispatch_us, found.python_us, found.unstamped_us) > 0


NAMES = ("conv", PADDING + "pool", "pool")
STEPS = np.array([[1, 10, 2, 20, 1], [1, 12, 2, 22, 1], [9, 90, 9, 90, 9], [3, 8, 4, 24, 1.0]])


def example(artifact: str = "a.so") -> KernelProfile:
    """Of four calls, the third and the last of which are slow, with 5 us of Python in each."""
    plain = np.array([70.0, 38, 36, 50])
    return summary(artifact, "broadwell", NAMES, STEPS, STEPS.sum(axis=1) + [5, 5, 5, 6], plain)


def test_a_summary_of_the_faster_half() -> None:
    found = example()
    assert [(k.step, k.mean_us, k.min_us) for k in found.kernels] == [
        ("conv", 11, 8),
        ("pool", 21, 20),
    ]
    assert (found.kernels_us, found.zeros_us, found.dispatch_us) == (32, 2, 2)
    assert (found.python_us, found.call_us, found.unstamped_us) == (5, 41, 37)
    assert json.loads(json.dumps(found.as_json()))["kernels_us"] == 32


def test_a_table_of_80_columns() -> None:
    lines = example("two\nlines.so").as_text().splitlines()
    assert lines[0] == "two\\nlines.so"
    assert max(map(len, lines)) <= 80
    assert "     11.0      8.0   26.8%  conv" in lines
    assert "     41.0           100.0%  the whole call" in lines
    assert not [line for line in lines if PADDING in line]


def test_an_artifact_without_stamps_is_refused(tmp_path: Path) -> None:
    write_artifact(artifact("A", tmp_path / "letter.so"))
    with pytest.raises(UserError, match=r"letter\.so: was not built to be .* build --profile\.$"):
        profile(tmp_path / "letter.so")


def test_inspect_needs_neither_torch_nor_tvm(built: Build) -> None:
    """And prints what `profile` measures."""
    program = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'tvm', 'rich')))\n"
        "from lprnet.commands import main; main()"
    )
    command = [sys.executable, "-c", program, "inspect", str(built.artifact), "--profile", "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(ran.stdout)
    assert found["artifact"] == str(built.artifact)
    assert found["calls"] == 1000
    assert found["kernels_us"] < found["call_us"]
