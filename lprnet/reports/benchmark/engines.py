"""The entries of the report and their engines, each with its best known settings.

An engine computes on one thread; to use several cores, each runs an instance. Run as a program,
this file reads one plate, to time a cold start:
`python -m lprnet.reports.benchmark.engines ENGINE FILE`.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lprnet.model.preprocessing import normalise
from lprnet.runtime.image_io import HEIGHT, WIDTH

Infer = Callable[[], NDArray[np.float32]]
"""Computes the logits `(N, 68, 18)` float32 of the images it was made for; this call is timed."""
Engine = Callable[[NDArray[np.uint8]], Infer]
"""Converts images `(N, 24, 94, 3)` uint8 BGR to the engine's input tensor; returns its `Infer`."""

Prepare = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Images `(N, 24, 94, 3)` uint8 BGR to the input tensor of an ONNX file."""

GRAPHS = {"original": "", "reduced": ", our graph", "quantized": ", our integers"}
"""Graph in a file to the suffix of a baseline's label: the checkpoint's graph, the graph that our
passes reduced, or the reduced graph quantized by us, in QDQ form.
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
    """Python packages that it needs, without those that decode images."""

    @property
    def label(self) -> str:
        """Its name; for baselines also the graph, unless it is the original one."""
        return self.name if self.engine == "lprnet" else self.name + GRAPHS[self.graph]

    def open(self) -> Engine:
        """Load the file for use on the calling thread."""
        return ENGINES[self.engine](self.file)


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
        from lprnet.model.checkpoint import load_model

        model = load_model(file)
    model.eval()
    if compiled:
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


def _onnxruntime(file: Path, prepare: Prepare = normalise) -> Engine:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    session = onnxruntime.InferenceSession(str(file), options, ["CPUExecutionProvider"])

    def ready(images: NDArray[np.uint8]) -> Infer:
        inputs = {"images": prepare(images)}
        return lambda: session.run(None, inputs)[0]

    return ready


def _openvino(file: Path, prepare: Prepare = normalise) -> Engine:
    """One compiled model a batch size, because OpenVINO optimises static shapes best."""
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
        "CPU_DENORMALS_OPTIMIZATION": True,
    }
    requests: dict[int, Any] = {}

    def ready(images: NDArray[np.uint8]) -> Infer:
        x = prepare(images)
        if len(x) not in requests:
            model = core.read_model(str(file))
            model.reshape(list(x.shape))
            compiled = core.compile_model(model, "CPU", settings)
            requests[len(x)] = compiled.create_infer_request()
        request = requests[len(x)]
        tensor = openvino.Tensor(x)

        def infer() -> NDArray[np.float32]:
            request.set_input_tensor(tensor)
            request.infer()
            logits: NDArray[np.float32] = request.get_output_tensor().data
            return logits

        return infer

    return ready


ENGINES: dict[str, Callable[[Path], Engine]] = {
    "lprnet": _ours,
    "torch": _torch,
    "torch, subnormals kept": lambda file: _torch(file, flush=False),
    "torch.compile": lambda file: _torch(file, compiled=True),
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "onnxruntime, pixels": lambda file: _onnxruntime(file, pixels),
    "openvino, pixels": lambda file: _openvino(file, pixels),
}


def resident_bytes() -> int:
    """Resident memory of this process."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    engine, path = sys.argv[1:]
    ENGINES[engine](Path(path))(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8))()
    print(json.dumps(resident_bytes()), flush=True)
