"""Builds candidates into shared objects in worker processes: MetaSchedule's builder interface."""

import subprocess
from contextlib import ExitStack
from pathlib import Path

import tvm
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from lprnet.compiler.codegen import generate
from lprnet.support.child_command import run_command
from lprnet.support.child_process import how_it_ended
from lprnet.support.scratch_folder import scratch_folder
from lprnet.tuning.measurement.worker_pool import Failure, WorkerPool

BUILD_SECONDS = 30.0
"""Timeout; enough for fully unrolled code on a busy machine."""


def build_kernel(module: str, target: str, artifact: str) -> str:
    """Compile `module` (TVM's JSON, one PrimFunc) for `target` (JSON) into `artifact`.

    Raises `ValueError` if the code would start threads through TVM's runtime, which artifacts do
    not contain, and `RuntimeError` if the linker fails. Buffers between a kernel's loops come from
    TVM's runtime here and from the arena in an artifact.
    """
    code = generate(tvm.ir.load_json(module), tvm.ir.load_json(target))
    path = Path(artifact)
    compiled = path.with_suffix(".o")
    code.mod.write_to_file(str(compiled), "o")
    if b"TVMBackendParallelLaunch" in compiled.read_bytes():
        raise ValueError("starts threads through TVM's runtime")
    try:
        run_command(["ld", "-shared", "-o", path, compiled])
    except subprocess.CalledProcessError as error:
        ended = how_it_ended(error.returncode)
        raise RuntimeError(error.stderr.strip() or f"ld ended: {ended}") from error
    compiled.unlink()
    return artifact


@derived_object
class CandidateBuilder(ms.builder.PyBuilder):  # type: ignore[misc]
    """Builds a batch in `workers`, into a scratch folder that `close` removes."""

    def __init__(self, workers: WorkerPool) -> None:
        super().__init__()
        self._workers = workers
        self._open = ExitStack()
        self._folder = self._open.enter_context(scratch_folder())
        self._built = 0

    def build(self, build_inputs: list[ms.builder.BuilderInput]) -> list[ms.builder.BuilderResult]:
        """One artifact or one error for each of `build_inputs`."""
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
        self._open.close()
