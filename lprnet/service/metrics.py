"""What Prometheus is told; names and labels are in docs/service.md."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from lprnet.runtime.manifest import Manifest
from lprnet.service.processes import METRICS_FOLDER

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
SUMMED = (
    "process_virtual_memory_bytes",
    "process_resident_memory_bytes",
    "process_cpu_seconds",
    "process_open_fds",
)
IMAGES = (1, 2, 4, 8, 16, 32, 64)


class EveryProcess(Collector):
    """Memory, CPU time and open files of all processes of the service, the parent too, summed."""

    def collect(self) -> Iterator[Metric]:
        """One metric each, as `ProcessCollector` has them for one process."""
        parent = os.getppid()
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        summed: dict[str, Metric] = {}
        for pid in (str(parent), *children):
            for metric in ProcessCollector(pid=partial(str, pid), registry=None).collect():
                first = summed.setdefault(metric.name, metric)
                if first is not metric and metric.name in SUMMED:
                    value = first.samples[0].value + metric.samples[0].value
                    first.samples[0] = first.samples[0]._replace(value=value)
        return iter([summed[name] for name in SUMMED if name in summed])


class Metrics:
    """The counters of one service, in a registry of their own; where several processes share one
    folder, those of all.
    """

    def __init__(self, manifest: Manifest) -> None:
        """`manifest` is that of the artifact that reads."""
        registry = self._registry = CollectorRegistry()
        PlatformCollector(registry=registry)
        artifact = Info("lprnet_artifact", "The artifact that reads", registry=registry)
        artifact.info({"variant": manifest.variant, "sha256": manifest.artifact_sha256})
        if METRICS_FOLDER in os.environ:
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            registry.register(EveryProcess())
            # What this process alone has counted is in no registry that anyone reads.
            registry = CollectorRegistry()
        else:
            ProcessCollector(registry=registry)
        self.requests = Counter(
            "lprnet_requests", "Requests answered", ["path", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "lprnet_request_seconds",
            "From the head of a request to the end of its answer",
            ["path"],
            buckets=SECONDS,
            registry=registry,
        )
        self.images = Counter(
            "lprnet_images",
            "Images by outcome: read, rejected, error, abandoned",
            ["outcome"],
            registry=registry,
        )
        self.queue = Gauge(
            "lprnet_queue_images",
            "Images that wait to be read",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.held = Gauge(
            "lprnet_held_bytes",
            "Bodies of requests in memory",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.batch = Histogram(
            "lprnet_batch_images", "Images in a batch", buckets=IMAGES, registry=registry
        )
        self.batch_seconds = Histogram(
            "lprnet_batch_seconds",
            "Decoding and reading a batch",
            buckets=SECONDS,
            registry=registry,
        )

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
