"""The trial log keeps every complete trial, however the process that writes it ends."""

import resource
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lprnet.support.errors import UserError
from lprnet.tuning.log.trials import Trial, TrialLog, read_trials

TRIALS = [
    Trial("conv", "00", 1e-4, None, [["trace"], [1e-4]]),
    Trial("conv", "01", None, "its process died with exit code -11", None),
    Trial("pool", "00", 2e-5, None, [["trace\n"], [2e-5]]),
]


@given(cut=st.integers(0, 400))
def test_cut_anywhere(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("log") / "trials.jsonl"
    trial_log = TrialLog(path)
    trial_log.append(TRIALS)
    trial_log.close()
    content = path.read_bytes()[:cut]
    path.write_bytes(content)

    trial_log = TrialLog(path)
    whole = content.count(b"\n")
    assert trial_log.trials == TRIALS[:whole]
    trial_log.append(TRIALS[whole:])
    trial_log.close()
    assert read_trials(path) == TRIALS


def test_a_disk_that_takes_no_more_is_one_sentence_that_names_the_file(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk; Python ignores its signal."""
    path = tmp_path / "trials.jsonl"
    trial_log = TrialLog(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
    try:
        with pytest.raises(UserError, match=r"trials\.jsonl: cannot be written \(File too large\)"):
            trial_log.append(TRIALS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    trial_log.close()
    there = TrialLog(path).trials
    assert there == TRIALS[: len(there)]


def test_a_byte_that_is_no_text_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    trial_log = TrialLog(path)
    trial_log.append(TRIALS)
    trial_log.close()
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second.replace(b"died", b"di\xffd") + third)
    with pytest.raises(UserError, match=r"trials\.jsonl: line 2 is no trial"):
        read_trials(path)


def test_one_run_at_a_time(tmp_path: Path) -> None:
    trial_log = TrialLog(tmp_path / "trials.jsonl")
    with pytest.raises(UserError, match="another run is tuning there"):
        TrialLog(tmp_path / "trials.jsonl")
    trial_log.append(TRIALS)
    trial_log.compact([])
    with pytest.raises(UserError, match="another run is tuning there"):
        TrialLog(tmp_path / "trials.jsonl")
    trial_log.close()
    TrialLog(tmp_path / "trials.jsonl").close()


def test_compact_keeps_every_trial_and_the_best_records(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    trial_log = TrialLog(path)
    trial_log.append(TRIALS)
    remeasured = replace(TRIALS[2], seconds=2.1e-5)
    trial_log.compact([remeasured])
    more = Trial("pool", "01", 3e-5, None, [])
    trial_log.append([more])
    trial_log.close()
    assert read_trials(path) == [
        replace(TRIALS[0], record=None),
        TRIALS[1],
        remeasured,
        more,
    ]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("line", ["{}", "[]", "not json", '{"kernel": "conv"}'])
def test_a_line_that_is_no_trial(tmp_path: Path, line: str) -> None:
    path = tmp_path / "trials.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(UserError, match="line 1 is no trial"):
        read_trials(path)
