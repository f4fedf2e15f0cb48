"""`scripts/tune.py`'s work: from a checkpoint to a tuning log."""

import contextlib
import math
import resource
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tvm
from tqdm import tqdm

from lprnet.artifact import digest
from lprnet.build import prepare
from lprnet.codegen import tvm_target
from lprnet.errors import UserError
from lprnet.export import to_relax
from lprnet.network import Network
from lprnet.subnormals import subnormals_as_zero
from lprnet.targets import Target, cpu_flags, cpu_name, find_target
from lprnet.tuning.fleet import Fleet
from lprnet.tuning.journal import Journal
from lprnet.tuning.local import LocalBench
from lprnet.tuning.log import TRIALS
from lprnet.tuning.manifest import FILE, Manifest, read_manifest, refuse_to_mix, write_manifest
from lprnet.tuning.session import BATCH, Session
from lprnet.tuning.tasks import Task, find_tasks
from relay_passes.pipeline import lower_graph, pass_names, quantize_graph, reduce_graph

FEWEST = 4
"""Candidates a batch, however few the trials."""


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    checkpoint: Path
    calibration: Path | None
    quantized: str | None
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
    seconds: float
    """One image's tuned kernels together."""
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
    network, *_ = prepare(request.checkpoint, request.calibration, request.quantized, target.isa)
    tasks = _tasks(network, target)
    manifest = Manifest(
        target=target.name,
        variant=network.variant,
        checkpoint=request.checkpoint.name,
        checkpoint_sha256=digest(request.checkpoint),
        tvm=tvm.__version__,
        cpu=cpu_name() if request.key is None else f"fleet {request.key}",
        passes=pass_names(target.isa, network.scales),
        kernels=tuple(f"{task.calls} x {task.workload}" for task in tasks),
        seed=request.seed,
        trials=0,
        valid=0,
        seconds=0.0,
    )
    directory = request.output / manifest.target / manifest.variant
    with _bench(request, target) as bench, tempfile.TemporaryDirectory() as scratch:
        manifest = _open(directory, manifest, request.fresh)
        batch = min(BATCH, max(FEWEST, request.trials // (2 * len(tasks))))
        session = Session(
            tasks, tvm_target(target), target.isa, manifest, directory, Path(scratch), batch
        )
        done = len(session.journal.trials)
        with tqdm(total=max(request.trials, done), initial=done, unit="trial") as bar:

            def report(added: int) -> None:
                if session.seconds < math.inf:
                    bar.set_postfix_str(f"best {session.seconds * 1e3:.3f} ms a plate", False)
                bar.update(added)

            session.run(request.trials, bench, report)
        with tqdm(total=len(tasks), unit="kernel", desc="finals") as bar:
            session.confirm(bench, bar.update)
        session.journal.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Outcome(directory, session.manifest, tasks, session.seconds, peak)


def _tasks(network: Network, target: Target) -> list[Task]:
    """The kernels of the network, through the same passes as a build."""
    reduced = reduce_graph(to_relax(network.model))
    quantized = quantize_graph(reduced, network.scales)
    return find_tasks(lower_graph(quantized, target.isa))


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


def _open(directory: Path, manifest: Manifest, fresh: bool) -> Manifest:
    """The manifest of the log to go on with: what is there, or `manifest` for a new one."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if fresh:
            Journal(directory / TRIALS).close()  # refuses while another run holds it
            shutil.rmtree(directory)
            directory.mkdir()
        if (directory / FILE).exists():
            there = read_manifest(directory)
            refuse_to_mix(there, manifest, directory)
            return there
        write_manifest(manifest, directory)
    except OSError as error:
        raise UserError(
            f"{directory}: cannot be written ({error.strerror}); choose another --output."
        ) from error
    return manifest
