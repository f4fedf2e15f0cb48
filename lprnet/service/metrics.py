"""What Prometheus is told; names and labels are in docs/service.md."""

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

from lprnet.runtime.manifest import Manifest

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
IMAGES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one service, in a registry of their own."""

    def __init__(self, manifest: Manifest) -> None:
        """`manifest` is that of the artifact that reads."""
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
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
        self.queue = Gauge("lprnet_queue_images", "Images that wait to be read", registry=registry)
        self.held = Gauge("lprnet_held_bytes", "Bodies of requests in memory", registry=registry)
        self.batch = Histogram(
            "lprnet_batch_images", "Images in a batch", buckets=IMAGES, registry=registry
        )
        self.batch_seconds = Histogram(
            "lprnet_batch_seconds",
            "Decoding and reading a batch",
            buckets=SECONDS,
            registry=registry,
        )
        artifact = Info("lprnet_artifact", "The artifact that reads", registry=registry)
        artifact.info({"variant": manifest.variant, "sha256": manifest.artifact_sha256})

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
