"""ONNX Runtime and OpenVINO, each with its best known settings.

Both keep float32 arithmetic in float32 and treat subnormals as zero, unless OpenVINO's own defaults
are asked for: those compute in bfloat16 where the CPU can.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lprnet.support.errors import UserError

Infer = Callable[[], NDArray[np.float32]]
"""Computes the logits `(N, classes, positions)` float32 of the input that it is bound to. A later
call may overwrite them.
"""
Bind = Callable[[NDArray[np.float32]], Infer]
"""Binds an input `(N, channels, height, width)` float32."""

OPENVINO_DEFAULTS: Mapping[str, Any] = {"NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
"""OpenVINO's defaults; threads that it does not pin, since the caller has chosen the core."""
OPENVINO_FLOAT32: Mapping[str, Any] = {
    **OPENVINO_DEFAULTS,
    "INFERENCE_PRECISION_HINT": "f32",
    "PERFORMANCE_HINT": "LATENCY",
    "CPU_DENORMALS_OPTIMIZATION": True,
}


def open_onnxruntime(file: Path, threads: int = 1) -> Bind:
    """Load an ONNX file of one input. Raises `UserError` if it cannot be run, or if ONNX Runtime is
    not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError("onnxruntime is not installed; pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    try:
        session = onnxruntime.InferenceSession(str(file), options, ["CPUExecutionProvider"])
        (name,) = (node.name for node in session.get_inputs())
    except Exception as error:  # its exceptions have no base class of their own
        raise UserError(f"{file} is not an ONNX file that onnxruntime can run") from error

    def bind(x: NDArray[np.float32]) -> Infer:
        inputs = {name: x}
        return lambda: session.run(None, inputs)[0]

    return bind


def open_openvino(
    file: Path, threads: int = 1, settings: Mapping[str, Any] = OPENVINO_FLOAT32
) -> Bind:
    """Load an ONNX file, or an `.xml` of OpenVINO, of one input; one compiled model a batch size,
    because OpenVINO optimises static shapes best. Raises `UserError` if it cannot be run, or if
    OpenVINO is not installed.

    A call copies the input into the tensor of its request: `infer(inputs)` takes 0.07 ms longer.
    """
    try:
        import openvino
    except ImportError as error:
        raise UserError("openvino is not installed; pip install openvino") from error
    core = openvino.Core()
    requests: dict[int, Any] = {}

    with _refused(file):
        model = core.read_model(str(file))

    def bind(x: NDArray[np.float32]) -> Infer:
        if len(x) not in requests:
            with _refused(file):
                model.reshape(list(x.shape))
                chosen = {**settings, "INFERENCE_NUM_THREADS": threads}
                requests[len(x)] = core.compile_model(model, "CPU", chosen).create_infer_request()
        request = requests[len(x)]
        images = request.get_input_tensor().data
        logits: NDArray[np.float32] = request.get_output_tensor().data

        def infer() -> NDArray[np.float32]:
            images[:] = x
            request.start_async()
            request.wait()
            return logits

        return infer

    return bind


@contextmanager
def _refused(file: Path) -> Iterator[None]:
    """Turns OpenVINO's errors, RuntimeError and unrelated classes, into a `UserError`."""
    try:
        yield
    except Exception as error:
        raise UserError(f"{file} is not an ONNX file that openvino can run") from error
