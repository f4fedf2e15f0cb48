"""A hybrid build is the fastest whole program, and no other file remains."""

import os
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lprnet.compiler.compile import Build, Source
from lprnet.measure.timing import on_one_core
from lprnet.runtime.artifact import manifest_path
from lprnet.tuning import fastest_build

IMAGES = np.zeros((1, 24, 94, 3), np.uint8)


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ({"manual": (1.0, 1.5), "auto": (2.0, 2.0), "hybrid": (0.9, 1.4)}, "hybrid"),
        ({"manual": (1.0, 1.5), "auto": (0.8, 1.0), "hybrid": (0.9, 1.4)}, "auto"),
        ({"manual": (1.0, 1.5), "auto": (2.0, 2.0), "hybrid": (0.995, 1.4)}, "manual"),
        ({"manual": (1.0, 1.5), "auto": (0.9, 1.5), "hybrid": (1.1, 1.2)}, "manual"),
        ({"manual": (1.0, 1.5), "auto": (0.8, 1.6), "hybrid": (0.9, 1.4)}, "hybrid"),
    ],
)
def test_manual_unless_another_is_clearly_faster(
    times: dict[str, tuple[float, float]], chosen: str
) -> None:
    """Both by minimum and by median."""
    samples = {
        origin: np.array([fastest, middle, middle]) for origin, (fastest, middle) in times.items()
    }
    assert fastest_build.fastest_origin(samples) == chosen


def test_the_fastest_program_gets_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_network(*arguments: Any) -> Build:
        *_, artifact, origin = arguments
        artifact.write_text(origin)
        manifest_path(artifact).write_text(f"of {origin}")
        made: Any = (origin, (origin,), None, ("its images read better as rgb",))
        return Build(artifact, *made)

    def scheduler(origin: str, variant: str, _logs: Path) -> str:
        assert variant == "fp32"
        return origin

    monkeypatch.setattr(fastest_build, "compile_network", compile_network)
    monkeypatch.setattr(fastest_build, "scheduler", scheduler)
    monkeypatch.setattr(fastest_build, "Recognizer", lambda _: SimpleNamespace(logits=len))
    monkeypatch.setattr(
        fastest_build,
        "interleaved_timings",
        lambda calls, *_: {o: np.array([len(o)]) for o in calls},
    )
    artifact = tmp_path / "new" / "plates.so"
    network: Any = SimpleNamespace(variant="fp32")
    built = fastest_build.compile_fastest(network, (), Source(artifact, ()), IMAGES, artifact)
    expected: Any = ("auto", ("auto",), None, ("its images read better as rgb",))
    assert built == Build(artifact, *expected)
    assert artifact.read_text() == "auto"
    assert manifest_path(artifact).read_text() == "of auto"
    assert sorted(artifact.parent.iterdir()) == sorted([artifact, manifest_path(artifact)])


def test_one_core_for_a_while() -> None:
    before = os.sched_getaffinity(0)
    with suppress(KeyError), on_one_core() as core:
        assert os.sched_getaffinity(0) == {core}
        raise KeyError
    assert os.sched_getaffinity(0) == before
