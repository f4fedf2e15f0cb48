"""Artifacts with several codes: which one runs, that each computes the same, what is refused."""

from pathlib import Path

import numpy as np
import pytest

from lprnet.compiler.cpuid import masks
from lprnet.compiler.targets import (
    AMX,
    PORTABLE,
    PORTABLE_TARGETS,
    TARGETS,
    artifact_target,
    find_target,
    find_targets,
    without_tiles,
)
from lprnet.runtime.cpu import cpu_flags
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from lprnet.synthetic.render import sample_plates
from tests.prepared import default_artifact
from tests.shared_results import SharedResults

IMAGES = np.stack([image for image, _ in sample_plates(5)])
RUNNABLE = [t for t in PORTABLE_TARGETS if cpu_flags().issuperset(find_target(t).flags)]


@pytest.fixture(scope="module")
def portable(shared_results: SharedResults) -> Path:
    return shared_results.call(default_artifact, PORTABLE, shared_results.folder)


@pytest.fixture(scope="module")
def best(shared_results: SharedResults) -> Path:
    """The single artifact for the best target that this machine runs."""
    return shared_results.call(default_artifact, RUNNABLE[-1], shared_results.folder)


def test_the_best_code_for_this_cpu_runs(portable: Path, best: Path) -> None:
    reader = Recognizer(portable)
    assert reader.target_version.target == RUNNABLE[-1]
    assert [code.target for code in reader.manifest.target_versions] == list(PORTABLE_TARGETS)
    np.testing.assert_array_equal(reader.logits(IMAGES), Recognizer(best).logits(IMAGES))


@pytest.mark.parametrize("target", RUNNABLE)
def test_every_code_can_be_asked_for_and_computes_the_same(portable: Path, target: str) -> None:
    reader = Recognizer(portable, target=target)
    assert reader.target_version.target == target
    expected = Recognizer(portable).logits(IMAGES)
    error = np.abs(reader.logits(IMAGES) - expected).max()
    assert error <= 1e-5 * np.abs(expected).max()


def test_every_code_that_runs_here_was_verified(portable: Path) -> None:
    for code in Recognizer(portable).manifest.target_versions:
        assert (code.parity is not None) == (code.target in RUNNABLE)


def test_weights_that_are_packed_alike_are_stored_once(portable: Path, best: Path) -> None:
    """Of three codes two have vectors of one length, so it is less than three artifacts."""
    assert best.stat().st_size < portable.stat().st_size < 2.5 * best.stat().st_size


@pytest.mark.parametrize(
    ("flags", "target", "complaint"),
    [
        ("sse4_2 avx", None, "at least like broadwell and this one lacks abm, avx2"),
        (
            " ".join(TARGETS[0].flags),
            "cascadelake",
            "like cascadelake and this one lacks avx512_vnni",
        ),
        (" ".join(TARGETS[-1].flags), "icelake-server", "holds no code for icelake-server"),
    ],
    ids=["no AVX2", "no AVX-512", "no such code"],
)
def test_what_cannot_run_is_refused_in_one_sentence(
    portable: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: str,
    target: str | None,
    complaint: str,
) -> None:
    monkeypatch.setattr("lprnet.runtime.artifact.cpu_flags", lambda: frozenset(flags.split()))
    with pytest.raises(UserError, match=complaint) as caught:
        Recognizer(portable, target=target)
    assert str(caught.value).startswith(str(portable))
    assert "\n" not in str(caught.value)


def test_a_portable_artifact_asks_each_instruction_set_for_its_least_cpu() -> None:
    *portable, tiles = find_targets(PORTABLE)
    assert tiles == AMX
    assert {target.isa for target in portable} == {target.isa for target in TARGETS}
    for target in portable:
        for other in TARGETS:
            assert other.isa != target.isa or set(other.flags) >= set(target.flags)


def test_tile_registers_come_with_another_code_for_the_same_cpu() -> None:
    both = find_targets("sapphirerapids")
    assert both == (find_target("sapphirerapids"), AMX)
    assert AMX.runs(both[0])
    assert not both[0].runs(AMX)
    assert without_tiles(both) == both[:1]
    assert artifact_target(both) == "sapphirerapids"
    assert artifact_target(find_targets(PORTABLE)) == PORTABLE
    for target in TARGETS[:-1]:
        assert find_targets(target.name) == (target,)


def test_every_flag_has_a_cpuid_bit_of_its_own() -> None:
    flags = {flag for target in (*TARGETS, AMX) for flag in target.flags}
    places = {masks([flag]) for flag in flags}
    assert len(places) == len(flags)
    assert all(sum(word.bit_count() for word in place) == 1 for place in places)
    assert masks(["avx2", "fma"]) == (1 << 12, 1 << 5, 0, 0, 0, 0)
    with pytest.raises(KeyError, match="amx_int512"):
        masks(["avx2", "amx_int512"])
