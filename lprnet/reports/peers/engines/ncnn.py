"""ncnn: float32, converted by pnnx; the wheel has no tools for int8. It takes one image a call."""

import importlib.util
from typing import TYPE_CHECKING

import numpy as np
from engines.interface import Array, Bind, Infer

if TYPE_CHECKING:
    from pathlib import Path


def convert(source: "Path", target: "Path") -> None:
    """Write the ONNX file `source` as `target` and a `.bin` beside it."""
    from pathlib import Path

    from engines.tools import run_tool

    found = importlib.util.find_spec("pnnx")
    assert found is not None
    assert found.origin is not None
    pnnx = Path(found.origin).with_name("pnnx")  # the module itself imports torch
    written = {"ncnnparam": target, "ncnnbin": target.with_suffix(".bin")}
    by_product = (("pnnxparam", "p"), ("pnnxbin", "b"), ("pnnxpy", "py"), ("pnnxonnx", "onnx"))
    written |= {name: target.with_suffix(f".pnnx.{end}") for name, end in by_product}
    written["ncnnpy"] = target.with_suffix(".ncnn.py")
    outputs = [f"{name}={file}" for name, file in written.items()]
    command = [str(pnnx), str(source), "inputshape=[1,3,24,94]f32", "fp16=0", *outputs]
    run_tool(command)


def load(file: str) -> Bind:
    """Load what `convert` wrote."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = 1
    net.load_param(file)
    net.load_model(file.removesuffix(".param") + ".bin")

    def bind(images: Array) -> Infer:
        # A Mat refers to the array that it is made of.
        arrays = [np.ascontiguousarray(image) for image in images]
        mats = [ncnn.Mat(array) for array in arrays]

        def infer(_kept: list[Array] = arrays) -> Array:
            logits = []
            for mat in mats:
                extractor = net.create_extractor()
                extractor.input("in0", mat)
                logits.append(np.array(extractor.extract("out0")[1]))
            return np.stack(logits)

        return infer

    return bind
