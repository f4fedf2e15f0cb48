"""IREE: float32, compiled for this CPU, run on the calling thread."""

import sys
from typing import TYPE_CHECKING

from engines.interface import Array, Bind, Infer

if TYPE_CHECKING:
    from pathlib import Path


def convert(source: "Path", target: "Path") -> None:
    """Compile the ONNX file `source` to `target`."""
    from pathlib import Path

    from engines.tools import run_tool

    mlir = target.with_suffix(".mlir")
    importer = [sys.executable, "-m", "iree.compiler.tools.import_onnx", str(source)]
    run_tool([*importer, "-o", str(mlir), "--opset-version=17"])
    compiler = str(Path(sys.executable).with_name("iree-compile"))
    options = [
        "--iree-hal-target-device=local",
        "--iree-hal-local-target-device-backends=llvm-cpu",
        "--iree-llvmcpu-target-cpu=host",
        "--iree-opt-level=O3",
    ]
    run_tool([compiler, str(mlir), "-o", str(target), *options])


def load(file: str) -> Bind:
    """Load what `convert` wrote."""
    import iree.runtime

    module = iree.runtime.load_vm_flatbuffer_file(file, driver="local-sync")
    names = module.vm_module.function_names
    (name,) = (one for one in names if one.isidentifier() and not one.startswith("_"))
    run = module[name]

    def bind(images: Array) -> Infer:
        def infer() -> Array:
            logits: Array = run(images).to_host()
            return logits

        return infer

    return bind
