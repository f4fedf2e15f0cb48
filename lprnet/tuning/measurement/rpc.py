"""Measuring on other machines, through TVM's RPC tracker and servers.

Candidates are built on this machine and measured on the servers. `python -m tvm.exec.rpc_tracker`
lists the servers; `python -m tvm.exec.rpc_server --tracker HOST:PORT --key KEY` runs on each. An
RPC server runs any code that it is sent, so keep both inside a network that you trust.
"""

import os
import socket
import struct
from pathlib import Path
from typing import Any, cast

from tvm import rpc
from tvm.ir.utils import derived_object
from tvm.rpc import base
from tvm.s_tir import meta_schedule as ms

from lprnet.support.errors import UserError
from lprnet.tuning.measurement.builder import CandidateBuilder
from lprnet.tuning.measurement.kernel_timing import load_example, time_kernel
from lprnet.tuning.measurement.runner import as_result, finished
from lprnet.tuning.measurement.worker_pool import Failure, WorkerPool

SESSION_SECONDS = 20
"""Timeout of one measurement on a server."""
WAITING_SECONDS = 40.0
"""Timeout for a free server, in addition."""
TRACKER_SECONDS = 5.0
"""Timeout of each answer of the tracker."""
ATTEMPTS = 3
"""A server may stop for reasons that are not the candidate's, so a failed one is tried again."""


class RpcMeasurer:
    """The servers that a tracker knows under one key. Use as a context manager."""

    def __init__(self, tracker: str, key: str) -> None:
        """`tracker` is `HOST:PORT`. Raises `UserError` if it does not answer or has no server."""
        self._address = _parse(tracker)
        self._key = key
        servers = count_servers(*self._address, key)
        if servers == 0:
            raise UserError(
                f"The tracker {tracker} knows no server with the key {key!r}; start one with "
                f"python -m tvm.exec.rpc_server --tracker {tracker} --key {key}."
            )
        self._builders = WorkerPool(len(os.sched_getaffinity(0)))
        self._clients = WorkerPool(servers)
        self.builder = CandidateBuilder(self._builders)

    def runner(self, example: Path) -> "RpcRunner":
        """A runner that checks results with the `Example` in the file `example`."""
        return RpcRunner(self._clients, *self._address, self._key, example)

    def verify(self) -> None:
        """Raise `UserError` if no server is left: then nothing was measured."""
        if count_servers(*self._address, self._key) == 0:
            raise UserError(
                f"No server with the key {self._key!r} is left; start one and run the same "
                "command again; it continues after the last finished batch."
            )

    def __enter__(self) -> "RpcMeasurer":
        return self

    def __exit__(self, *_: object) -> None:
        self._builders.stop()
        self._clients.stop()
        self.builder.close()


def run_remotely(host: str, port: int, key: str, artifact: str, example: str) -> float:
    """Seconds of one call of the kernel in `artifact` on a free server."""
    tracker = rpc.connect_tracker(host, port)
    remote = tracker.request(key, session_timeout=SESSION_SECONDS)
    name = Path(artifact).name
    remote.upload(artifact, name)
    try:
        return time_kernel(remote.load_module(name), remote.cpu(), load_example(Path(example)))
    finally:
        remote.remove(name)


@derived_object
class RpcRunner(ms.runner.PyRunner):  # type: ignore[misc]
    """Measures one kernel's candidates on all servers at once, one at a time on each.

    A candidate that fails is tried again on any free server.
    """

    def __init__(self, clients: WorkerPool, host: str, port: int, key: str, example: Path) -> None:
        super().__init__()
        self._clients = clients
        self._server = (host, port, key)
        self._example = str(example)

    def run(self, runner_inputs: list[ms.runner.RunnerInput]) -> list[ms.runner.RunnerFuture]:
        """One result for each of `runner_inputs`, all finished."""
        results: list[float | Failure] = [Failure("not run")] * len(runner_inputs)
        for _ in range(ATTEMPTS):
            failed = [i for i, result in enumerate(results) if isinstance(result, Failure)]
            if not failed:
                break
            calls = [
                (*self._server, str(runner_inputs[i].artifact_path), self._example) for i in failed
            ]
            if count_servers(*self._server) == 0:
                break
            again = self._clients.map(run_remotely, calls, SESSION_SECONDS + WAITING_SECONDS)
            for index, result in zip(failed, again, strict=True):
                results[index] = result
        return [finished(as_result(result)) for result in results]


def count_servers(host: str, port: int, key: str) -> int:
    """How many servers a tracker knows under `key`. Raises `UserError` if it does not answer."""
    try:
        servers = _summary(host, port)["server_info"]
    except (OSError, ValueError, LookupError, struct.error) as error:
        raise UserError(
            f"{host}:{port}: no tracker answers there; start one with "
            f"python -m tvm.exec.rpc_tracker --port {port}."
        ) from error
    return sum(server["key"] == f"server:{key}" for server in servers)


def _summary(host: str, port: int) -> dict[str, Any]:
    """A tracker's list of its servers, as `tvm.rpc.TrackerSession.summary` asks it.

    TVM's client would try to connect for a minute and then wait for an answer without an end.
    Raises `OSError`, `ValueError` or `struct.error` for anything that does not answer as a tracker.
    """
    with socket.create_connection((host, port), timeout=TRACKER_SECONDS) as connection:
        connection.sendall(struct.pack("<i", base.RPC_TRACKER_MAGIC))
        (magic,) = struct.unpack("<i", base.recvall(connection, 4))
        if magic != base.RPC_TRACKER_MAGIC:
            raise ValueError("another protocol answers")
        base.sendjson(connection, [base.TrackerCode.SUMMARY])
        code, summary = base.recvjson(connection)
    if code != base.TrackerCode.SUCCESS:
        raise ValueError(f"the tracker answers {code}")
    return cast(dict[str, Any], summary)


def _parse(tracker: str) -> tuple[str, int]:
    host, colon, port = tracker.rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
        raise UserError(f"{tracker}: is no address of a tracker; give HOST:PORT.")
    return host, int(port)
