"""What each training step sees, made ahead by other processes."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from typing import Any, TypeVar

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from lprnet.support.child_process import (
    end_with_parent,
    keep_sockets_in_scratch,
    starting_process,
    take_sigterm,
)

AHEAD = 8
"""Steps that each process is ahead at most."""

Item = TypeVar("Item")


def items_of_steps(items: Dataset[Item], first: int, last: int, workers: int) -> Iterator[Item]:
    """Items `first` to `last - 1`, as they are, made by `workers` processes; 0: by this one.

    Ctrl-C in a terminal reaches all processes; the others leave it to this one, which ends them.
    Raises `UserError` where the path of the folder of temporary files is too long for sockets.
    """
    loader = DataLoader(
        items,
        batch_size=None,
        sampler=range(first, last),
        collate_fn=_as_it_is,
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        worker_init_fn=partial(_begin, os.getpid()),
        multiprocessing_context="spawn" if workers else None,
    )
    if workers:
        keep_sockets_in_scratch()
    with starting_process():
        return iter(loader)


def _as_it_is(item: Any) -> Any:
    return item


def _begin(parent: int, _number: int) -> None:
    take_sigterm()
    # PyTorch asks who the parent is after this: one that was killed before is never missed.
    if not end_with_parent(signal.SIGKILL, parent):
        os._exit(1)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
