"""Equal files are measured once; entries that do not run are listed with the reason."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lprnet.reports.benchmark.costs import ColdStart, Throughput
from lprnet.reports.benchmark.engines import Entry
from lprnet.reports.benchmark.measure_entries import measure_entries, measured_for, proportion
from lprnet.reports.benchmark.results import Proportion
from lprnet.runtime.alphabet import BLANK, INDEX

MODULE = "lprnet.reports.benchmark.measure_entries"
IMAGES = np.zeros((2, 24, 94, 3), np.uint8)


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    """Two artifacts of the same bytes, another one, and a baseline that runs those same bytes."""
    found = []
    for name, engine, content in (
        ("a", "lprnet", "one"),
        ("b", "lprnet", "two"),
        ("twin of a", "lprnet", "one"),
        ("baseline", "onnxruntime", "one"),
    ):
        (tmp_path / name).write_text(content)
        found.append(Entry(name, engine, tmp_path / name))
    return found


def test_the_same_bytes_on_the_same_engine(entries: list[Entry]) -> None:
    a, b, twin, baseline = entries
    assert measured_for(entries) == {a: a, b: b, twin: a, baseline: baseline}


def test_equal_files_share_their_measurements(
    entries: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def cold_start(entry: Entry, photo: Path) -> ColdStart:
        assert photo.name == "photo.jpg"
        if entry.name == "b":
            raise RuntimeError("no such\ninstruction")
        started.append(entry.name)
        return ColdStart(1.0, 2)

    monkeypatch.setattr(f"{MODULE}.cold_start", cold_start)
    logits = np.zeros((2, 68, 18), np.float32)
    logits[:, BLANK] = 1
    logits[0, INDEX["A"], 3] = 9
    monkeypatch.setattr(f"{MODULE}.logits_and_throughput", lambda *_: (logits, Throughput(3.0, 8)))
    monkeypatch.setattr(
        f"{MODULE}.latencies",
        lambda several, *_: [np.array([len(one.name)]) for one in several],
    )
    measured, missing = measure_entries(entries, IMAGES, 5, Path("photo.jpg"))
    a, _, twin, baseline = entries
    assert started == ["a", "baseline"]
    assert list(measured) == [a, twin, baseline]
    assert measured[twin] is measured[a]
    assert measured[twin].as_name == "a"
    assert measured[a].texts == ("A", "")
    assert len(measured[a].under_grammar) == 2
    assert measured[baseline].samples == [len("baseline")]
    assert [(one.name, one.reason) for one in missing] == [("b", "no such instruction")]


def test_a_pair_is_timed_alone(entries: list[Entry], monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, *_ = entries
    seen = []

    def latencies(two: list[Entry], image: np.ndarray, rounds: int) -> list[np.ndarray]:
        seen.append((two, image.shape, rounds))
        return [np.array([0.5, 0.4]), np.array([0.2, 0.3])]

    def of_length(file: Path) -> SimpleNamespace:
        return SimpleNamespace(manifest=SimpleNamespace(macs=len(file.name) + 7))

    monkeypatch.setattr(f"{MODULE}.latencies", latencies)
    monkeypatch.setattr(f"{MODULE}.read_artifact", of_length)
    found = proportion(a, b, IMAGES[0], 9)
    assert seen == [([a, b], (24, 94, 3), 9)]
    assert found == Proportion("a", "b", 8, 8, 0.4, 0.2)
