"""Measuring over RPC on loopback: a tracker, two servers, one of them killed."""

import socket
from collections.abc import Iterator

import pytest
from tvm.rpc.server import Server
from tvm.rpc.tracker import Tracker

from lprnet.support.errors import UserError
from lprnet.tuning.log.database import TRIALS
from lprnet.tuning.log.trials import read_trials
from lprnet.tuning.measurement import rpc
from lprnet.tuning.measurement.rpc import RpcMeasurer
from tests.tuning.conftest import Small


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    started = Tracker(host="127.0.0.1", port=19190, port_end=19290)
    yield started
    started.terminate()


def server(tracker: Tracker) -> Server:
    return Server(
        host="127.0.0.1",
        port=19300,
        port_end=19400,
        key="test",
        tracker_addr=("127.0.0.1", tracker.port),
        silent=True,
    )


def test_a_server_dies_in_the_middle(tracker: Tracker, small: Small) -> None:
    servers = [server(tracker), server(tracker)]
    try:
        with RpcMeasurer(f"127.0.0.1:{tracker.port}", "test") as fleet:
            tuner = small.tuner()
            tuner.run(4, fleet, lambda added: servers[0].terminate())
            tuner.run(12, fleet, lambda added: None)
            trials = read_trials(small.directory / TRIALS)
            assert len(trials) == 12
            assert [trial.error for trial in trials] == [None] * 12

            servers[1].terminate()
            with pytest.raises(UserError, match="No server .* is left"):
                tuner.run(16, fleet, lambda added: None)
            assert len(read_trials(small.directory / TRIALS)) == 12
    finally:
        for each in servers:
            each.terminate()


def test_no_server_of_the_key(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="knows no server with the key 'test'"):
        RpcMeasurer(f"127.0.0.1:{tracker.port}", "test")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(UserError, match="no tracker answers there"):
        RpcMeasurer(f"127.0.0.1:{port}", "test")
    with socket.create_server(("127.0.0.1", 0)) as unanswering:
        monkeypatch.setattr(rpc, "TRACKER_SECONDS", 0.2)
        with pytest.raises(UserError, match="no tracker answers there"):
            RpcMeasurer(f"127.0.0.1:{unanswering.getsockname()[1]}", "test")
    for address in ("localhost", ":9190", "localhost:port", "localhost:99999"):
        with pytest.raises(UserError, match="HOST:PORT"):
            RpcMeasurer(address, "test")
