"""The entries of the report and their engines, each with its best known settings.

An engine computes on one thread; to use several cores, each runs an instance. Run as a program,
this file reads one image file, to time a cold start:
`python -m lprnet.reports.benchmark.engines ENGINE FILE IMAGE`.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lprnet.measure.engines import (
    OPENVINO_DEFAULTS,
    Bind,
    Infer,
    open_onnxruntime,
    open_openvino,
)
from lprnet.model.preprocessing import normalise

Engine = Callable[[NDArray[np.uint8]], Infer]
"""Converts images `(N, 24, 94, 3)` uint8 BGR to the engine's input tensor; returns its `Infer`, the
call that is timed.
"""
Opener = Callable[[Path], Engine]

Prepare = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Images `(N, 24, 94, 3)` uint8 BGR to the input tensor of an ONNX file."""

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
        """The command that reads one image file in a new process, and prints the memory of that
        process last.
        """
        command = [sys.executable, "-m", "lprnet.reports.benchmark.engines", self.engine]
        if self.python is not None:
            from lprnet.reports.peers.remote_engine import WORKER

            command = [str(self.python), str(WORKER), "first", self.engine]
        return [*command, str(self.file.resolve()), str(image.resolve())]


def pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`(N, 24, 94, 3)` uint8 BGR to `(N, 3, 24, 94)` float32 of the same values, as our quantized
    network takes them.
    """
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)


def _ours(file: Path) -> Engine:
    from lprnet.runtime.recognizer import Recognizer

    reader = Recognizer(file)
    return lambda images: lambda: reader.logits(images)


def _torch(file: Path, flush: bool = True, compiled: bool = False) -> Engine:
    """Eager PyTorch, or `torch.compile`, of a checkpoint or of a reduced graph in ONNX."""
    import torch

    torch.set_num_threads(1)
    if file.suffix == ".onnx":
        from lprnet.reports.benchmark.onnx_in_torch import OnnxModule

        model: torch.nn.Module = OnnxModule(file)
    else:
        from lprnet.model.checkpoint import load_china

        model = load_china(file)
    model.eval()
    if compiled:
        from torch._inductor import config

        config.freezing = True  # weights become constants, laid out for the kernels
        model.compile()

    def ready(images: NDArray[np.uint8]) -> Infer:
        x = torch.from_numpy(normalise(images))

        def infer() -> NDArray[np.float32]:
            torch.set_flush_denormal(flush)
            with torch.inference_mode():
                logits: NDArray[np.float32] = model(x).numpy()
            return logits

        return infer

    return ready


def _onnx(open_file: Callable[[Path], Bind], prepare: Prepare = normalise) -> Opener:
    """The engine of an ONNX file whose input tensor `prepare` makes."""

    def opened(file: Path) -> Engine:
        bind = open_file(file)
        return lambda images: bind(prepare(images))

    return opened


ENGINES: dict[str, Opener] = {
    "lprnet": _ours,
    "torch": _torch,
    "torch, subnormals kept": lambda file: _torch(file, flush=False),
    "torch.compile": lambda file: _torch(file, compiled=True),
    "onnxruntime": _onnx(open_onnxruntime),
    "openvino": _onnx(open_openvino),
    "openvino, defaults": _onnx(partial(open_openvino, settings=OPENVINO_DEFAULTS)),
    "onnxruntime, pixels": _onnx(open_onnxruntime, pixels),
    "openvino, pixels": _onnx(open_openvino, pixels),
}


def first_text(engine: str, file: Path, image: Path) -> str:
    """The text on an image file, as a program that reads only this one would get it."""
    if engine == "lprnet":
        from lprnet.runtime.recognizer import Recognizer

        return Recognizer(file).read(image, grammar=False).text
    from lprnet.runtime.decode import greedy
    from lprnet.runtime.image_io import read_image

    return greedy(ENGINES[engine](file)(read_image(image)[None])())[0].text


def resident_bytes() -> int:
    """Resident memory of this process."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    engine, path, image = sys.argv[1:]
    print(json.dumps([first_text(engine, Path(path), Path(image)), resident_bytes()]), flush=True)
