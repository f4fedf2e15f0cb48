"""The entries of the report and their engines, each with its best known settings.

An engine computes on one thread; to use several cores, each runs an instance.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lprnet.measure.engines import Bind, Infer
from lprnet.model.preprocessing import normalise
from lprnet.reports.benchmark.loaders import LOADERS, pixels
from lprnet.reports.benchmark.variants import PROJECT

FIRST_TEXT = PROJECT / "lprnet" / "reports" / "peers" / "first_text.py"

Engine = Callable[[NDArray[np.uint8]], Infer]
"""Converts images `(N, 24, 94, 3)` uint8 BGR to the engine's input tensor; returns its `Infer`, the
call that is timed.
"""
Opener = Callable[[Path], Engine]

GRAPHS = {
    "original": "",
    "reduced": ", our graph",
    "quantized": ", our integers",
    "pruned": ", our pruned graph",
    "pruned, quantized": ", our pruned integers",
}
"""Graph in a file to the suffix of a baseline's label: the checkpoint's graph; the graph that our
passes reduced; that one after our structured pruning; and these two quantized by us, in QDQ form.
"""


@dataclass(frozen=True)
class Entry:
    """One row of the report: a file and the engine that runs it."""

    name: str
    engine: str
    """A key of `ENGINES`."""
    file: Path
    graph: str = "reduced"
    """A key of `GRAPHS`."""
    distributions: tuple[str, ...] = ()
    """Python packages that it needs, OpenCV apart."""
    python: Path | None = None
    """Of the environment of an engine of `lprnet/reports/peers`, which `engine` names then."""

    @property
    def label(self) -> str:
        """Its name; for baselines also the graph, unless it is the original one."""
        return self.name if self.engine == "lprnet" else self.name + GRAPHS[self.graph]

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the network: OpenVINO's `.xml` and ncnn's `.param` have their weights in a
        `.bin` beside them.
        """
        if self.file.suffix in (".xml", ".param"):
            return self.file, self.file.with_suffix(".bin")
        return (self.file,)

    def open(self) -> Engine:
        """Load the file for use on the calling thread."""
        if self.python is None:
            return ENGINES[self.engine](self.file)
        from lprnet.reports.peers.remote_engine import RemoteCall, RemoteEngine

        remote = RemoteEngine(self.python, self.engine, self.file.resolve())
        return lambda images: RemoteCall(remote, normalise(images))

    def start_command(self, image: Path) -> list[str]:
        """The command that reads one image file in a new process of this one, with which it ends;
        `start_environment` is its.
        """
        # Without `site`: what an environment's .pth files load is no part of an engine.
        python = sys.executable if self.python is None else str(self.python)
        files = str(self.file.resolve()), str(image.resolve())
        return [python, "-S", str(FIRST_TEXT), str(os.getpid()), self.engine, *files]

    def start_environment(self) -> dict[str, str]:
        """The environment variables of `start_command`."""
        if self.python is None:
            places = [str(PROJECT), *filter(None, sys.path)]
        else:
            from lprnet.reports.peers.environments import packages

            places = [str(packages(self.python))]
        kept = {name: value for name, value in os.environ.items() if name not in UNSET}
        # Else NumPy and OpenCV start a thread a core that nothing here needs.
        return {**kept, "PYTHONPATH": os.pathsep.join(places), "OPENBLAS_NUM_THREADS": "1"}


UNSET = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"})
"""Packages that pip installs are compiled to bytecode; so is this one then, by its first start."""


def _ours(file: Path) -> Engine:
    from lprnet.runtime.recognizer import Recognizer

    reader = Recognizer(file)
    return lambda images: lambda: reader.logits(images)


def _with_pixels(load: Callable[[Path], Bind], as_pixels: bool) -> Opener:
    """The engine of a file whose input tensor is made of images."""
    prepare = pixels if as_pixels else normalise

    def opened(file: Path) -> Engine:
        bind = load(file)
        return lambda images: bind(prepare(images))

    return opened


ENGINES: dict[str, Opener] = {
    "lprnet": _ours,
    **{name: _with_pixels(*loader) for name, loader in LOADERS.items()},
}
