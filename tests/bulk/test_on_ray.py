"""A job on a Ray cluster of three nodes on this machine, one of which is killed in the middle."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lprnet.commands.dispatch import execute
from lprnet.support.errors import UserError
from tests.bulk.deadly_decoder import deadly_decoder, deadly_png
from tests.bulk.killing import make_images, results

ray = pytest.importorskip("ray", reason="ray is not installed; pip install 'lprnet-tvm[ray]'")
cluster_utils = pytest.importorskip("ray.cluster_utils")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The head has no core, so that all work is on the two nodes that may be killed."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    nodes = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    nodes.add_node(num_cpus=1)
    nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    yield nodes
    ray.shutdown()
    nodes.shutdown()


def test_a_node_that_is_killed_costs_nothing(
    cluster: Any, tmp_path: Path, letter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images(tmp_path / "photos", 2000)
    monkeypatch.chdir(tmp_path)
    options = ["photos", f"--artifact={letter}", "--shard-size=20", "--format=csv"]
    assert execute([*options, "--output=local"], "bulk") == 1
    killed = threading.Event()

    def kill_one() -> None:
        end = time.monotonic() + 200
        while time.monotonic() < end and len(list(Path("ray").glob("shard-*"))) < 20:
            time.sleep(0.005)
        cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
        if len(list(Path("ray").glob("shard-*"))) < 100:
            killed.set()

    killer = threading.Thread(target=kill_one)
    killer.start()
    assert execute([*options, "--output=ray", f"--ray={cluster.address}"], "bulk") == 1
    killer.join(60)
    assert killed.is_set(), "the job was over before the node was killed"
    assert results(tmp_path / "ray") == results(tmp_path / "local")


def test_an_image_that_ends_its_decoder_is_an_error_of_its_own(
    tmp_path: Path, photos: Path, letter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on this machine alone (`test_fatal_images.py`), and the job has the same bytes."""
    deadly_decoder(tmp_path, monkeypatch, "SIGABRT")
    for number in (1, 9):
        (photos / f"{number:03}.png").write_bytes(deadly_png())
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    nodes = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    options = [str(photos), f"--artifact={letter}", "--shard-size=8", "--format=csv"]
    try:
        assert execute([*options, f"--output={tmp_path / 'local'}"], "bulk") == 1
        ray_options = [f"--output={tmp_path / 'ray'}", f"--ray={nodes.address}"]
        assert execute([*options, *ray_options], "bulk") == 1
    finally:
        ray.shutdown()
        nodes.shutdown()
    found = results(tmp_path / "ray")
    assert found == results(tmp_path / "local")
    assert b"".join(found.values()).count(b"ends its decoder (SIGABRT)") == 2


def test_no_cluster_is_one_sentence(
    tmp_path: Path, letter: Path, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(png)
    with pytest.raises(UserError, match="there is no Ray cluster"):
        execute(["a.png", f"--artifact={letter}", "--output=out", "--ray=127.0.0.1:1"], "bulk")
