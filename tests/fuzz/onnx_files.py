"""Mutants of ONNX files, changed field by field; what is accepted is compared with ONNX Runtime."""

import random
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from lprnet.model.lprnet import LPRNet
from lprnet.onnx_import.load import load_onnx
from tests.fuzz.checkpoints import CORPUS
from tests.fuzz.parts import NUMBERS, change_bytes

MAX_PEAK_KB = 1_000_000
MAX_ERROR = 1e-3
"""Of the largest logit."""
NAMES = ["", "Conv", "Relu", "MaxPool", "Mean", "x", "Loop", "If", "Constant", "Reshape", "é"]


SEEDS = {"small": 3, "small-int8": 1, "narrow": 1}
"""Files of the corpus, and how often each is taken: the small ones are read in a third of the
time."""


@cache
def seed(name: str) -> bytes:
    return (CORPUS / f"{name}.onnx").read_bytes()


def mutate(rng: random.Random) -> tuple[str, bytes]:
    (name,) = rng.choices(list(SEEDS), list(SEEDS.values()))
    if rng.random() < 0.05:
        return f"{name} bytes", change_bytes(seed(name), rng)
    model = onnx.ModelProto.FromString(seed(name))
    for _ in range(rng.choice([1, 1, 2, 3])):
        change(model, rng)
    return f"{name} fields", model.SerializeToString()


def change(message: Message, rng: random.Random) -> None:
    """One field somewhere in `message`, deeper ones more often."""
    fields = [field for field, _ in message.ListFields()]
    field = rng.choice(fields if fields else list(message.DESCRIPTOR.fields))
    value: Any = getattr(message, field.name)
    if field.is_repeated:
        _change_items(value, field, rng)
    elif field.type == FieldDescriptor.TYPE_MESSAGE and rng.random() < 0.9:
        change(value, rng)
    elif rng.random() < 0.1 or field.type == FieldDescriptor.TYPE_MESSAGE:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, _scalar(value, field, rng))


def _change_items(items: Any, field: FieldDescriptor, rng: random.Random) -> None:
    if not len(items):
        return
    at = rng.randrange(len(items))
    action = rng.random()
    if action < 0.1:
        del items[at]
    elif action < 0.2:
        items.extend([items[at]] * rng.choice([1, 1, 50]))
    elif field.type == FieldDescriptor.TYPE_MESSAGE and action < 0.9:
        change(items[at], rng)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        other = rng.randrange(len(items))
        items[at].CopyFrom(type(items[at]).FromString(items[other].SerializeToString()))
    else:
        items[at] = _scalar(items[at], field, rng)


def _scalar(value: Any, field: FieldDescriptor, rng: random.Random) -> Any:
    match value:
        case bytes():
            return change_bytes(value, rng)
        case str():
            return rng.choice([*NAMES, value + "x"])
        case float():
            return rng.choice([0.0, -1.0, 1e30, float("nan"), float("inf"), value * 2])
        case _ if field.type == FieldDescriptor.TYPE_INT64:
            return rng.choice([-1, -(1 << 63), (1 << 63) - 1, *NUMBERS])
        case _ if field.type == FieldDescriptor.TYPE_ENUM:  # which holds no other number
            return rng.choice(list(field.enum_type.values_by_number))
        case _:
            return rng.randrange(30)


def read(kind: str, content: bytes) -> Any:
    with TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder, "it.onnx")
        path.write_bytes(content)
        return load_onnx(path)


def check(kind: str, content: bytes, found: Any) -> str | None:
    """A float network computes what ONNX Runtime computes, where that accepts the file and its
    image has the size that we take. Integers are not compared.
    """
    if not isinstance(found, LPRNet):
        return None
    image = np.random.default_rng(0).random((1, *found.architecture.image_shape), np.float32)
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        expected = session.run(None, {given.name: image})[0]
    except Exception:  # it refuses the file, or this image
        return None
    with torch.no_grad():
        logits = found(torch.from_numpy(image)).numpy()
    if logits.shape != expected.shape:
        return f"logits of shape {logits.shape}, by ONNX Runtime {expected.shape}"
    # Huge weights overflow to NaN in any runtime: 1 such file in 35,000.
    finite = np.isfinite(expected)
    if not np.array_equal(logits[~finite], expected[~finite], equal_nan=True):
        return "NaN or infinity elsewhere than by ONNX Runtime"
    error = float(np.abs(logits - expected)[finite].max(initial=0.0))
    largest = float(np.abs(expected[finite]).max(initial=0.0))
    return None if error <= MAX_ERROR * largest else f"{error} from ONNX Runtime of {largest}"
