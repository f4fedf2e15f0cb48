"""The hybrid build: the fastest of three whole programs.

A kernel that is timed alone finds its code and weights in the L1 cache; in the network another
kernel runs before it. So the mix of the faster kernels is taken only if the whole program is faster
than the manual and the automatic program, timed interleaved on this machine. If none is clearly
faster, the manual program is taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lprnet.compiler.compile import Build, Source, compile_network
from lprnet.compiler.network import CompilerInput
from lprnet.compiler.targets import Target
from lprnet.measure.timing import interleaved_timings, on_one_core
from lprnet.runtime.artifact import manifest_path
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.atomic_file import made_folder
from lprnet.support.scratch_folder import scratch_folder
from lprnet.tuning import LOGS
from lprnet.tuning.apply import scheduler
from lprnet.tuning.measurement.compare_kernels import MIN_SPEEDUP

ORIGINS_TIMED = ("manual", "auto", "hybrid")
"""The origins of `apply.py` that are compared; its `hybrid` mixes the kernels that are faster
alone.
"""
BUILD_ROUNDS = 1500


def compile_fastest(
    network: CompilerInput,
    targets: Sequence[Target],
    source: Source,
    images: NDArray[np.uint8],
    artifact: Path,
    logs: Path = LOGS,
) -> Build:
    """`compile_network` with each of `ORIGINS_TIMED`; the fastest becomes `artifact`, all or
    nothing.

    Timed on the first of `images`, `(N, 24, 94, 3)` uint8 BGR. Raises what `compile_network` does.
    """
    with (
        made_folder(artifact.parent),
        scratch_folder(artifact.parent) as folder,
    ):
        builds = {
            origin: compile_network(
                network,
                targets,
                source,
                images,
                folder / f"{origin}.so",
                scheduler(origin, network.variant, logs),
            )
            for origin in ORIGINS_TIMED
        }
        readers = {origin: Recognizer(built.artifact) for origin, built in builds.items()}
        calls = {origin: partial(one.logits, images[:1]) for origin, one in readers.items()}
        with on_one_core():
            samples = interleaved_timings(calls, BUILD_ROUNDS)
        fastest = builds[fastest_origin(samples)]
        manifest_path(fastest.artifact).replace(manifest_path(artifact))
        fastest.artifact.replace(artifact)
    return replace(fastest, artifact=artifact)


def fastest_origin(samples: Mapping[str, NDArray[np.float64]]) -> str:
    """The origin with the smallest minimum among those that are `MIN_SPEEDUP` times as fast as
    `manual`, both by minimum and by median; `manual` if there is none.

    On a shared machine one undisturbed call can decide the minimum, and a load of some minutes the
    median, but rarely both.
    """
    manual = samples["manual"]
    faster = [
        origin
        for origin, times in samples.items()
        if manual.min() > MIN_SPEEDUP * times.min()
        and np.median(manual) > MIN_SPEEDUP * np.median(times)
    ]
    return min(faster, key=lambda origin: samples[origin].min(), default="manual")
