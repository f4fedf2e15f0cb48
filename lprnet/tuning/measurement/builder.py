"""Candidates to shared objects, in workers: a builder behind MetaSchedule's interface."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import tvm
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from lprnet.compiler.codegen import generate
from lprnet.tuning.measurement.worker_pool import Failure, Workers

BUILD_SECONDS = 30.0
"""Enough for fully unrolled code on a busy machine; a candidate that needs longer is hopeless."""


def build_kernel(module: str, target: str, artifact: str) -> str:
    """Compile `module` (TVM's JSON, one PrimFunc) for `target` (JSON) into `artifact`.

    Raises `ValueError` if the code would start threads through TVM's runtime, which our artifacts
    do without. (Memory between a kernel's loops is the arena's there, the runtime's here.)
    """
    code = generate(tvm.ir.load_json(module), tvm.ir.load_json(target))
    path = Path(artifact)
    compiled = path.with_suffix(".o")
    code.mod.write_to_file(str(compiled), "o")
    if b"TVMBackendParallelLaunch" in compiled.read_bytes():
        raise ValueError("starts threads through TVM's runtime")
    subprocess.run(
        ["ld", "-shared", "-o", path, compiled], check=True, capture_output=True, text=True
    )
    compiled.unlink()
    return artifact


@derived_object
class KernelBuilder(ms.builder.PyBuilder):  # type: ignore[misc]
    """Builds a batch in `workers`; artifacts lie in a folder of their own until `close`."""

    def __init__(self, workers: Workers) -> None:
        super().__init__()
        self._workers = workers
        self._folder = Path(tempfile.mkdtemp(prefix="lprnet-tune-"))
        self._built = 0

    def build(self, build_inputs: list[ms.builder.BuilderInput]) -> list[ms.builder.BuilderResult]:
        """One artifact, or the reason why there is none, for each of `build_inputs`."""
        calls = []
        for candidate in build_inputs:
            self._built += 1
            path = str(self._folder / f"{self._built}.so")
            calls.append(
                (tvm.ir.save_json(candidate.mod), tvm.ir.save_json(candidate.target), path)
            )
        return [
            ms.builder.BuilderResult(None, result.reason)
            if isinstance(result, Failure)
            else ms.builder.BuilderResult(result, None)
            for result in self._workers.map(build_kernel, calls, BUILD_SECONDS)
        ]

    def close(self) -> None:
        """Remove every artifact."""
        shutil.rmtree(self._folder, ignore_errors=True)
