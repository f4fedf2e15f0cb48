"""The entries of the engines in environments of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from lprnet.reports.benchmark.engines import Entry
from lprnet.reports.benchmark.variants import Missing
from lprnet.reports.peers.environments import environment
from lprnet.reports.peers.remote_engine import convert
from lprnet.support.errors import UserError, one_line


@dataclass(frozen=True)
class Peer:
    """An engine, and how it runs the network best as far as is known."""

    name: str
    """Of its module, its requirements and its environment."""
    label: str
    suffix: str
    """Of the file that it loads."""
    converter: str | None = None
    """Requirements and environment of what makes that file, if not those of `name`."""


PEERS = (
    Peer("mnn", "MNN dynamic int8", ".mnn"),
    Peer("litert", "LiteRT fp32", ".float.tflite", "litert-convert"),
    Peer("litert", "LiteRT dynamic int8", ".int8.tflite", "litert-convert"),
    Peer("ncnn", "ncnn fp32", ".param"),
    Peer("tract", "tract fp32", ".onnx"),
    Peer("iree", "IREE fp32", ".vmfb"),
)
NOT_RUN = (
    Missing("ExecuTorch/XNNPACK", "has LiteRT's kernels, and its int8 reads 878 of 1000"),
    Missing("torch inductor int8", "X86InductorQuantizer reads 778 of 1000"),
    Missing("DeepSparse, IPEX", "no longer developed"),
    Missing("Paddle, Halide, JAX", "take no ONNX file"),
    Missing("oneDNN, libxsmm, candle, burn", "have no Python package that runs a network"),
    Missing("ONNX Runtime's XNNPACK and oneDNN providers", "are in no wheel"),
)
"""Engines without a line, each with the reason."""


def peer_entries(
    networks: Sequence[tuple[str, Path]], folder: Path, environments: Path
) -> tuple[list[Entry], list[Missing]]:
    """An entry for each engine and each of `networks`, a graph of `GRAPHS` and its float32 ONNX
    file, their own files written to `folder`; and those that could not be made.
    """
    found, missing = [], list(NOT_RUN)
    for peer in tqdm(PEERS, desc="setting up peers", unit="peer", delay=3, disable=None):
        try:
            python = environment(peer.name, environments)
            converter = environment(peer.converter or peer.name, environments)
        except UserError as error:
            missing.append(Missing(peer.label, str(error)))
            continue
        for graph, source in networks:
            file = folder / f"{graph}-{peer.name}{peer.suffix}"
            entry = Entry(peer.label, peer.name, file, graph, python=python)
            try:
                convert(converter, peer.name, source, file)
            except RuntimeError as error:
                missing.append(Missing(entry.label, one_line(error)[:200]))
            else:
                found.append(entry)
    return found, missing
