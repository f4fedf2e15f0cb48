"""`scripts/tune.py`'s work: from checkpoints to a tuning log."""

import contextlib
import math
import resource
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import tvm
from tqdm import tqdm

from lprnet.build import prepare
from lprnet.compiler.codegen import KeepLocalsOnStack, tvm_target
from lprnet.compiler.frontend import to_relax
from lprnet.compiler.targets import Isa, Target, cpu_flags, cpu_name, find_target
from lprnet.compression.variants import Network
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.runtime.artifact import digest
from lprnet.support.errors import UserError
from lprnet.tuning.log.database import RECORDS, TRIALS, open_log
from lprnet.tuning.log.manifest import FILE, Manifest, read_manifest, refuse_to_mix, write_manifest
from lprnet.tuning.log.trials import Journal
from lprnet.tuning.measurement.local import LocalBench
from lprnet.tuning.measurement.rpc import Fleet
from lprnet.tuning.space.algorithms import forms
from lprnet.tuning.space.tasks import Task, find_tasks, kernel_name, shared_tasks, with_forms
from lprnet.tuning.tuner import BATCH, Session
from lprnet.weights import DEFAULT_CHECKPOINT
from relay_passes.pipeline import lower_graph, quantize_graph, reduce_graph

FEWEST = 4
"""Candidates a batch, however few the trials."""


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    checkpoints: Sequence[Path]
    """Besides the default model, whose kernels are in every log: a fresh clone builds it."""
    calibration: Path | None
    """Of `checkpoints`; the default model is tuned as it ships."""
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
class Outcome:
    """A finished run."""

    directory: Path
    manifest: Manifest
    tasks: list[Task]
    plates: dict[str, float]
    """Seconds of one plate's tuned kernels together, by network."""
    peak_bytes: int
    """Of memory, this process."""


@subnormals_as_zero()
def tune(request: Request) -> Outcome:
    """Tune what `request` asks for until its log has that many trials.

    Raises `UserError` for anything that the user can mend.
    """
    if (request.tracker is None) != (request.key is None):
        raise UserError("A fleet needs both --tracker and --key.")
    if request.trials < 1:
        raise UserError(f"--trials is {request.trials}; give at least 1.")
    target = find_target(request.target)
    networks = _networks(request, target)
    directory = request.output / target.name / networks[0].network.variant
    with _bench(request, target) as bench, tempfile.TemporaryDirectory() as scratch:
        manifest, tasks = _open(directory, _manifest(request, target, networks), request.fresh)
        tasks = shared_tasks([tasks, *(with_forms(each.tasks, target.isa) for each in networks)])
        manifest = replace(
            manifest, kernels=tuple(f"{task.calls} x {task.workload}" for task in tasks)
        )
        batch = min(BATCH, max(FEWEST, request.trials // (2 * len(tasks))))
        session = Session(
            tasks, tvm_target(target), target.isa, manifest, directory, Path(scratch), batch
        )
        done = len(session.journal.trials)
        with tqdm(total=max(request.trials, done), initial=done, unit="trial") as bar:

            def report(added: int) -> None:
                plates = [1e3 * each.seconds(session.best_seconds) for each in networks]
                if max(plates) < math.inf:
                    best = ", ".join(f"{milliseconds:.3f}" for milliseconds in plates)
                    bar.set_postfix_str(f"best {best} ms a plate", False)
                bar.update(added)

            session.run(request.trials, bench, report)
        with tqdm(total=len(tasks), unit="kernel", desc="finals") as bar:
            session.confirm(bench, bar.update)
        session.journal.close()
    best = {trials[0].kernel: trials[0].seconds or math.inf for trials in session.best() if trials}
    plates = {each.name: each.seconds(best) for each in networks}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Outcome(directory, session.manifest, tasks, plates, peak)


@dataclass(frozen=True)
class _Tuned:
    """A network whose kernels are tuned."""

    name: str
    network: Network
    isa: Isa
    tasks: list[Task]

    def seconds(self, best: Mapping[str, float]) -> float:
        """One plate's kernels together, each as fast as in `best`."""
        return sum(
            task.calls
            * min(best.get(kernel_name(form), math.inf) for form in forms(task.workload, self.isa))
            for task in self.tasks
        )


def _networks(request: Request, target: Target) -> list[_Tuned]:
    """The default model as it ships, then what the user named, through the passes of a build."""
    sources: list[tuple[Path, Path | None]] = [(DEFAULT_CHECKPOINT, None)]
    sources += [(file, request.calibration) for file in request.checkpoints or [DEFAULT_CHECKPOINT]]
    networks = []
    for file, calibration in dict.fromkeys(sources):
        network, *_ = prepare(file, calibration, request.quantized, request.pruned)
        reduced = quantize_graph(reduce_graph(to_relax(network.model)), network.scales)
        name = f"{file.name} {digest(file)[:12]}{' calibrated' if calibration else ''}"
        networks.append(
            _Tuned(name, network, target.isa, find_tasks(lower_graph(reduced, target.isa)))
        )
    return networks


def _manifest(request: Request, target: Target, networks: Sequence[_Tuned]) -> Manifest:
    """That of a new log."""
    after_schedule: tuple[tvm.transform.Pass, ...] = (KeepLocalsOnStack(),)
    return Manifest(
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
    )


def _bench(
    request: Request, target: Target
) -> contextlib.AbstractContextManager[LocalBench | Fleet]:
    if request.tracker is not None and request.key is not None:
        return Fleet(request.tracker, request.key)
    missing = sorted(set(target.flags) - cpu_flags())
    if missing:
        raise UserError(
            f"This CPU lacks {', '.join(missing)} and cannot measure {target.name} code; name a "
            "fleet of machines that can with --tracker and --key."
        )
    return LocalBench()


def _open(directory: Path, manifest: Manifest, fresh: bool) -> tuple[Manifest, list[Task]]:
    """The manifest of the log to go on with, and the kernels that it has already: what is there
    with `manifest`'s networks added, or a new one.
    """
    tasks = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if fresh:
            Journal(directory / TRIALS).close()  # refuses while another run holds it
            shutil.rmtree(directory)
            directory.mkdir()
        if (directory / FILE).exists():
            there = read_manifest(directory)
            refuse_to_mix(there, manifest, directory)
            networks = dict.fromkeys((*there.networks, *manifest.networks))
            manifest = replace(there, networks=tuple(networks))
            if (directory / RECORDS).exists():
                tasks = open_log(directory).tasks()
        write_manifest(manifest, directory)
    except OSError as error:
        raise UserError(
            f"{directory}: cannot be written ({error.strerror}); choose another --output."
        ) from error
    return manifest, tasks
