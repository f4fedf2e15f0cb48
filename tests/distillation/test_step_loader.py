"""Items come in order; Ctrl-C does not reach the processes that make them, SIGTERM does."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.util import get_temp_dir
from pathlib import Path

import pytest
from torch.utils.data import Dataset

from lprnet.distillation.step_loader import _begin, items_of_steps
from lprnet.support.scratch_folder import PREFIX


class Masks(Dataset[tuple[int, str]]):
    """The step, and what the process that makes it blocks, as Linux writes it."""

    def __getitem__(self, step: int) -> tuple[int, str]:
        lines = Path("/proc/self/status").read_text().splitlines()
        return step, next(line.split()[1] for line in lines if line.startswith("SigBlk"))


class Folders(Dataset[str]):
    """Where the process that makes a step keeps its sockets."""

    def __getitem__(self, step: int) -> str:
        return get_temp_dir()


def test_sockets_lie_in_a_folder_that_no_kill_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    monkeypatch.setitem(config, "tempdir", None)
    (folder,) = items_of_steps(Folders(), 0, 1, 1)
    assert Path(folder).name.startswith(PREFIX)


def test_the_processes_block_interrupts_and_this_one_does_not() -> None:
    items = list(items_of_steps(Masks(), 3, 7, 1))
    assert [step for step, _ in items] == [3, 4, 5, 6]
    masks = [int(mask, 16) for _, mask in items]
    assert all(mask >> (signal.SIGINT - 1) & 1 for mask in masks)
    assert not any(mask >> (signal.SIGTERM - 1) & 1 for mask in masks)
    assert not {signal.SIGINT, signal.SIGTERM} & signal.pthread_sigmask(signal.SIG_BLOCK, set())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_meanwhile_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """It is taken when the processes have started, unless another thread took it before."""
    seen: list[str] = []

    def start(_: object) -> Iterator[object]:
        signal.raise_signal(number)  # to this thread: libraries' threads block nothing
        seen.append("started")
        return iter(())

    monkeypatch.setattr("lprnet.distillation.step_loader.DataLoader.__iter__", start)
    before = signal.signal(number, lambda *_: seen.append("interrupted"))
    try:
        assert list(items_of_steps(Masks(), 0, 2, 0)) == []
    finally:
        signal.signal(number, before)
    assert seen == ["started", "interrupted"]


@pytest.mark.parametrize(("away", "code"), [(0, 0), (1, 1)])
def test_a_process_whose_parent_was_killed_before_it_began_ends(away: int, code: int) -> None:
    """PyTorch would take the process that it was handed to for its parent, and wait for good."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_begin, args=(os.getpid() + away, 0))
    process.start()
    process.join(60)
    assert process.exitcode == code
