"""Tensors of an answer of the Open Inference Protocol, laid out as `tensor_request.py` says."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lprnet.service.refusal import Refusal
from lprnet.service.tensor_request import HEADER, LENGTH, Input

_DTYPES: Mapping[str, Any] = {"FP32": np.dtype("<f4"), "BOOL": np.dtype("?")}


@dataclass(frozen=True)
class Output:
    """An output: a vector with one element an image."""

    name: str
    datatype: str
    values: Sequence[str] | Sequence[float] | Sequence[bool]

    def binary(self) -> bytes:
        """In the binary extension."""
        if self.datatype == "BYTES":
            texts = [str(value).encode() for value in self.values]
            return b"".join(LENGTH.pack(len(text)) + text for text in texts)
        return np.asarray(self.values, _DTYPES[self.datatype]).tobytes()


def render(
    given: Input, model: str, version: str, outputs: Sequence[Output]
) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of an answer with the `outputs` that were asked for, all if none was
    named. Raises `Refusal` for one that is not there.
    """
    by_name = {output.name: output for output in outputs}
    asked = {one.name: one for one in given.request.outputs} or dict.fromkeys(by_name)
    unknown = [name for name in asked if name not in by_name]
    if unknown:
        raise Refusal(400, f"{model} has no output {unknown[0]!r}, but {', '.join(by_name)}")
    by_default = given.request.parameters.get("binary_data_output", False)
    described, binary = [], []
    for name, wanted in asked.items():
        output = by_name[name]
        entry: dict[str, Any] = {
            "name": name,
            "datatype": output.datatype,
            "shape": [len(output.values)],
        }
        if wanted.parameters.get("binary_data", by_default) if wanted else by_default:
            binary.append(output.binary())
            entry["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            entry["data"] = list(output.values)
        described.append(entry)
    content = {"model_name": model, "model_version": version, "outputs": described}
    if given.request.id is not None:
        content["id"] = given.request.id
    head = json.dumps(content, ensure_ascii=False).encode()
    if not binary:
        return head, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", HEADER: str(len(head))}
    return b"".join((head, *binary)), headers
