"""`lprnet tune`'s work: from checkpoints to a tuning log."""

import contextlib
import math
import resource
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import tvm
from tqdm import tqdm

from lprnet.compiler.codegen import KeepLocalsOnStack, tvm_target
from lprnet.compiler.lower import lower, weights_of
from lprnet.compiler.network import CompilerInput
from lprnet.compiler.targets import Target, find_target, require_cpu
from lprnet.compression.variants import prepare
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.runtime.cpu import cpu_name
from lprnet.support.errors import UserError
from lprnet.support.file_digest import file_digest
from lprnet.support.scratch_folder import scratch_folder
from lprnet.tuning.log.database import RECORDS, TRIALS, open_log
from lprnet.tuning.log.manifest import (
    FILE,
    LogManifest,
    read_manifest,
    refuse_to_mix,
    write_manifest,
)
from lprnet.tuning.log.trials import TrialLog
from lprnet.tuning.measurement.local import LocalMeasurer
from lprnet.tuning.measurement.measurer import check_measurer
from lprnet.tuning.measurement.rpc import RpcMeasurer
from lprnet.tuning.space.algorithms import algorithms_of
from lprnet.tuning.space.tasks import Task, find_tasks, kernel_name, shared_tasks, with_algorithms
from lprnet.tuning.tuner import BATCH, Tuner
from lprnet.weights import DEFAULT_CHECKPOINT
from schedules.isa import Isa

MIN_BATCH = 4
"""Candidates in the smallest batch."""


@dataclass(frozen=True)
class TuningOptions:
    """What the user asked for."""

    checkpoints: Sequence[Path]
    """Tuned besides the default model, whose kernels are in every log."""
    calibration: Path | None
    """Images that `checkpoints` are calibrated on; the default model needs none."""
    quantized: str | None
    pruned: str | None
    target: str
    trials: int
    fresh: bool
    seed: int
    output: Path
    tracker: str | None
    key: str | None


@dataclass(frozen=True)
class TuningResult:
    """A finished tuning run."""

    directory: Path
    manifest: LogManifest
    tasks: list[Task]
    plates: dict[str, float]
    """Seconds of one plate's tuned kernels together, by network."""
    peak_bytes: int
    """Peak memory of this process."""


@subnormals_as_zero()
def tune(request: TuningOptions) -> TuningResult:
    """Tune what `request` asks for until its log has that many trials.

    Raises `UserError` for every user error.
    """
    if (request.tracker is None) != (request.key is None):
        raise UserError("Measuring over RPC needs both --tracker and --key.")
    if request.trials < 1:
        raise UserError(f"--trials is {request.trials}; give at least 1.")
    target = find_target(request.target)
    with _measurer(request, target) as measurer, scratch_folder() as scratch:
        check_measurer(measurer, tvm_target(target), scratch)
        networks = _networks(request, target)
        directory = request.output / target.name / networks[0].network.variant
        manifest, tasks = _open(directory, _manifest(request, target, networks), request.fresh)
        tasks = shared_tasks(
            [tasks, *(with_algorithms(each.tasks, target.isa) for each in networks)]
        )
        manifest = replace(
            manifest, kernels=tuple(f"{task.calls} x {task.workload}" for task in tasks)
        )
        batch = min(BATCH, max(MIN_BATCH, request.trials // (2 * len(tasks))))
        tuner = Tuner(tasks, tvm_target(target), target.isa, manifest, directory, scratch, batch)
        done = len(tuner.trial_log.trials)
        with tqdm(total=max(request.trials, done), initial=done, unit="trial", disable=None) as bar:

            def report(added: int) -> None:
                plates = [1e3 * each.seconds(tuner.best_seconds) for each in networks]
                if max(plates) < math.inf:
                    best = ", ".join(f"{milliseconds:.3f}" for milliseconds in plates)
                    bar.set_postfix_str(f"best {best} ms a plate", False)
                bar.update(added)

            tuner.run(request.trials, measurer, report)
        with tqdm(total=len(tasks), unit="kernel", desc="remeasuring", disable=None) as bar:
            tuner.remeasure_best(measurer, bar.update)
        tuner.trial_log.close()
    best = {trials[0].kernel: trials[0].seconds or math.inf for trials in tuner.best() if trials}
    plates = {each.name: each.seconds(best) for each in networks}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return TuningResult(directory, tuner.manifest, tasks, plates, peak)


@dataclass(frozen=True)
class _Tuned:
    """A network whose kernels are tuned, for `isa`."""

    name: str
    network: CompilerInput
    isa: Isa
    tasks: list[Task]

    def seconds(self, best: Mapping[str, float]) -> float:
        """Seconds of one plate's kernels together; `best` has the seconds of each by name."""
        return sum(
            task.calls
            * min(
                best.get(kernel_name(algorithm), math.inf)
                for algorithm in algorithms_of(task.workload, self.isa)
            )
            for task in self.tasks
        )


def _networks(request: TuningOptions, target: Target) -> list[_Tuned]:
    """The default model, then the user's checkpoints, lowered as in a build.

    Raises `UserError` for a checkpoint that is quantized already, unless the log is for int8.
    """
    sources: list[tuple[Path, Path | None]] = [(DEFAULT_CHECKPOINT, None)]
    sources += [(file, request.calibration) for file in request.checkpoints or [DEFAULT_CHECKPOINT]]
    networks: list[_Tuned] = []
    for file, calibration in dict.fromkeys(sources):
        network, *_ = prepare(file, calibration, request.quantized, request.pruned)
        with weights_of(file):
            lowered = lower(network, target.isa)
        if networks and network.variant != networks[0].network.variant:
            raise UserError(
                f"{file}: is {network.variant} as it is, and the log would be for "
                f"{networks[0].network.variant}; add --quantized"
            )
        name = f"{file.name} {file_digest(file)[:12]}{' calibrated' if calibration else ''}"
        networks.append(_Tuned(name, network, target.isa, find_tasks(lowered)))
    return networks


def _manifest(request: TuningOptions, target: Target, networks: Sequence[_Tuned]) -> LogManifest:
    """The manifest of a new log."""
    after_schedule: tuple[tvm.transform.Pass, ...] = (KeepLocalsOnStack(),)
    return LogManifest(
        target=target.name,
        variant=networks[0].network.variant,
        networks=tuple(each.name for each in networks),
        tvm=tvm.__version__,
        cpu=cpu_name() if request.key is None else f"fleet {request.key}",
        passes=tuple(str(step.info.name) for step in after_schedule),
        kernels=(),
        seed=request.seed,
        trials=0,
        valid=0,
        seconds=0.0,
        stopped_early=None,
    )


def _measurer(
    request: TuningOptions, target: Target
) -> contextlib.AbstractContextManager[LocalMeasurer | RpcMeasurer]:
    if request.tracker is not None and request.key is not None:
        return RpcMeasurer(request.tracker, request.key)
    require_cpu(target, "name RPC servers that can with --tracker and --key")
    return LocalMeasurer()


def _open(directory: Path, manifest: LogManifest, fresh: bool) -> tuple[LogManifest, list[Task]]:
    """The manifest of the log in `directory`, with the networks of `manifest` added, and the
    kernels that the log has already. A new log gets `manifest` itself.
    """
    tasks = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if fresh:
            TrialLog(directory / TRIALS).close()  # refuses while another run holds it
            shutil.rmtree(directory)
            directory.mkdir()
        if (directory / FILE).exists():
            existing = read_manifest(directory)
            refuse_to_mix(existing, manifest, directory)
            networks = dict.fromkeys((*existing.networks, *manifest.networks))
            manifest = replace(existing, networks=tuple(networks))
            if (directory / RECORDS).exists():
                tasks = open_log(directory).tasks()
        write_manifest(manifest, directory)
    except OSError as error:
        raise UserError(
            f"{directory}: cannot be written ({error.strerror}); choose another --output."
        ) from error
    return manifest, tasks
