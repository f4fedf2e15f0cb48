"""One file is measured once; what does not run is told, with the reason."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lprnet.reports.benchmark import measure as module
from lprnet.reports.benchmark.costs import Start, Throughput
from lprnet.reports.benchmark.engines import Contestant
from lprnet.reports.benchmark.measure import measure, measured_for, proportion
from lprnet.reports.benchmark.results import Proportion

IMAGES = np.zeros((2, 24, 94, 3), np.uint8)


@pytest.fixture
def contestants(tmp_path: Path) -> list[Contestant]:
    """Two artifacts of the same bytes, another one, and a rival that runs those same bytes."""
    found = []
    for name, engine, content in (
        ("a", "lprnet", "one"),
        ("b", "lprnet", "two"),
        ("twin of a", "lprnet", "one"),
        ("rival", "onnxruntime", "one"),
    ):
        (tmp_path / name).write_text(content)
        found.append(Contestant(name, engine, tmp_path / name))
    return found


def test_the_same_bytes_on_the_same_engine(contestants: list[Contestant]) -> None:
    a, b, twin, rival = contestants
    assert measured_for(contestants) == {a: a, b: b, twin: a, rival: rival}


def test_twins_share_what_was_measured(
    contestants: list[Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def start(contestant: Contestant) -> Start:
        if contestant.name == "b":
            raise RuntimeError("no such\ninstruction")
        started.append(contestant.name)
        return Start(1.0, 2)

    monkeypatch.setattr(module, "start", start)
    monkeypatch.setattr(module, "on_all_cores", lambda *_: (["x", "y"], Throughput(3.0, 8)))
    monkeypatch.setattr(
        module, "latencies", lambda several, *_: [np.array([len(one.name)]) for one in several]
    )
    measured, missing = measure(contestants, IMAGES, 5)
    a, _, twin, rival = contestants
    assert started == ["a", "rival"]
    assert list(measured) == [a, twin, rival]
    assert measured[twin] is measured[a]
    assert measured[twin].as_name == "a"
    assert measured[rival].samples == [5]
    assert [(one.name, one.reason) for one in missing] == [("b", "no such instruction")]


def test_a_pair_takes_turns_alone(
    contestants: list[Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, *_ = contestants
    seen = []

    def latencies(
        two: list[Contestant], image: np.ndarray, rounds: int, _: int
    ) -> list[np.ndarray]:
        seen.append((two, image.shape, rounds))
        return [np.array([0.5, 0.4]), np.array([0.2, 0.3])]

    monkeypatch.setattr(module, "latencies", latencies)
    monkeypatch.setattr(module, "verify", lambda file: SimpleNamespace(macs=len(file.name) + 7))
    found = proportion(a, b, IMAGES[0], 9)
    assert seen == [([a, b], (24, 94, 3), 9)]
    assert found == Proportion("a", "b", 8, 8, 0.4, 0.2)
