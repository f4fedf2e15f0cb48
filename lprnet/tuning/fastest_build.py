"""The hybrid build: the fastest of three whole programs.

A kernel alone finds its code and weights in the nearest cache; in the network it follows another
one. So a mix of the kernels that are faster alone is taken only where it is faster as a whole than
either schedule throughout, on this machine, in turns. Between equals the manual one is taken.
"""

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lprnet.compiler.compile import Build, Source, compile_network
from lprnet.compiler.targets import Target
from lprnet.compression.variants import Network
from lprnet.measure.timing import on_one_core, take_turns
from lprnet.runtime.artifact import make_folder, manifest_path
from lprnet.runtime.recognizer import Recognizer
from lprnet.tuning import LOGS
from lprnet.tuning.measurement.compare_kernels import CLEARLY_FASTER

WHOLE = ("manual", "auto", "hybrid")
"""The origins of `schedules.apply.apply` that compete; its `hybrid` mixes kernels timed alone."""
WARM_UP, REPEATS = 20, 1500


def compile_fastest(
    network: Network,
    targets: Sequence[Target],
    source: Source,
    images: NDArray[np.uint8],
    artifact: Path,
    logs: Path = LOGS,
) -> Build:
    """`compile_network` with each of `WHOLE`; the fastest becomes `artifact`, all or nothing.

    Timed on the first of `images`, `(N, 24, 94, 3)` uint8 BGR. Raises what `compile_network` does.
    """
    make_folder(artifact.parent)
    with tempfile.TemporaryDirectory(dir=artifact.parent, prefix=".hybrid-") as folder:
        builds = {
            origin: compile_network(
                network, targets, source, images, Path(folder, f"{origin}.so"), origin, logs
            )
            for origin in WHOLE
        }
        readers = {origin: Recognizer(built.artifact) for origin, built in builds.items()}
        calls = {origin: partial(one.logits, images[:1]) for origin, one in readers.items()}
        with on_one_core():
            samples = take_turns(calls, REPEATS, WARM_UP)
        fastest = builds[choose(samples)]
        manifest_path(fastest.artifact).replace(manifest_path(artifact))
        fastest.artifact.replace(artifact)
    return Build(artifact, fastest.manifest, fastest.compiled)


def choose(samples: Mapping[str, NDArray[np.float64]]) -> str:
    """The origin with the smallest minimum of those clearly faster than `manual` by minimum and by
    median; `manual` where none is.

    On a shared machine a lucky call makes a minimum, and a bad minute a median, but not both.
    """
    manual = samples["manual"]
    faster = [
        origin
        for origin, times in samples.items()
        if times.min() < CLEARLY_FASTER * manual.min()
        and np.median(times) < CLEARLY_FASTER * np.median(manual)
    ]
    return min(faster, key=lambda origin: samples[origin].min(), default="manual")
