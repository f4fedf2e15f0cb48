"""What a case must compute, through the passes alone and through generated code."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lprnet.compiler.compile import Source, compile_network
from lprnet.compiler.lower import lower
from lprnet.compiler.network import CompilerInput
from lprnet.compiler.targets import find_target
from lprnet.compression.calibration import calibrate
from lprnet.compression.compiler_inputs import (
    float_network,
    pruned_network,
    quantized_network,
    weights_only_network,
)
from lprnet.compression.quantize.integer_reference import integer_reference
from lprnet.compression.quantize.post_training import quantize_static
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.model.lprnet import LPRNet
from lprnet.model.preprocessing import OFFSET, SCALE, normalise
from lprnet.runtime.artifact import missing_flags
from lprnet.runtime.recognizer import Recognizer
from relay_passes.pipeline import quantize_graph
from tests import quantized_reference, relax_reference
from tests.adding_up import adding_up, one_level
from tests.differential.random_case import VARIANTS, RandomCase

CLOSE_GRAPH, CLOSE_CODE = 1e-6, 1e-4
"""Of the largest logit: a graph is evaluated in float64, of weights folded in float32."""
EXACT = 0.3
"""Of one level of one integer at one position (`adding_up`): below a half nothing is off by one."""

Floats = NDArray[np.float64]


def check_graph(case: RandomCase, _folder: Path) -> dict[str, float]:
    """The graphs after all passes in front of lowering compute what torch computes, int8 every
    integer of the reference; and each can be lowered for a target of its own. A network with
    calibrated context means is checked in every variant, since its export takes the longest, others
    in float32 alone. Raises `AssertionError`.
    """
    if is_refused(case):
        return {"refused": 1.0}
    pixels, measured = case.pixels(), dict[str, float]()
    inputs = torch.from_numpy(normalise(pixels)).double()
    for variant, target in zip(VARIANTS, case.targets, strict=True):
        if case.per_image and variant != "fp32":
            continue
        network, expected, bounds = _network(case, variant)
        lower(network, find_target(target).isa)
        if variant == "static":  # its graph reads pixels as they are
            graph = quantize_graph(network.module, network.scales, OFFSET, SCALE)
            maps = pixels.transpose(0, 3, 1, 2).astype(np.float64)
            found = np.concatenate([quantized_reference.evaluate(graph, one[None]) for one in maps])
        else:
            found = relax_reference.evaluate(network.module, inputs).numpy()
        limit = EXACT if variant == "static" else CLOSE_GRAPH
        measured[variant] = _compared(variant, found, expected, limit * bounds)
    return measured


def check_code(case: RandomCase, folder: Path) -> dict[str, float]:
    """The artifact of one variant computes the same, where this CPU can run it. Raises
    `AssertionError`.
    """
    if is_refused(case):
        return {"refused": 1.0}
    network, expected, bounds = _network(case, case.variant)
    source = folder / "none"
    source.touch()
    path, target = folder / "lprnet.so", find_target(case.target)
    built = compile_network(network, [target], Source(source, ()), case.pixels(), path)
    if missing_flags(built.manifest.target_versions[0]):
        return {"ran": 0.0}
    found = Recognizer(path).logits(case.pixels()).astype(np.float64)
    limit = EXACT if case.variant == "static" else CLOSE_CODE
    return {"ran": 1.0, "off": _compared(case.variant, found, expected, limit * bounds)}


@lru_cache(1)
def _reduced(case: RandomCase) -> tuple[ReducedNetwork, Floats]:
    """The network with calibrated context means, and torch's logits: what its variants share."""
    model, pixels = case.model(), case.pixels()
    calibrate(model, pixels)
    return reduce(model), _logits(model, pixels)


def is_refused(case: RandomCase) -> bool:
    """Whether random weights have made a context 0 everywhere, which nothing can be divided by."""
    model = case.model()
    with torch.no_grad():
        contexts = model.contexts(torch.from_numpy(normalise(case.pixels())))
    return not all(context.any() for context in contexts)


@torch.no_grad()
def _logits(model: LPRNet, pixels: NDArray[np.uint8]) -> Floats:
    """Torch's, in float64; the model stays in float32."""
    images = torch.from_numpy(normalise(pixels)).double()
    logits: Floats = model.double()(images).numpy()
    model.float()
    return logits


def _network(case: RandomCase, variant: str) -> tuple[CompilerInput, Floats, Floats]:
    """What the compiler is given; what torch computes, `(N, classes, positions)`; and the unit of a
    difference, `(classes, 1)`: the largest logit, or of integers one level.
    """
    pixels, whole = case.pixels(), np.ones((case.architecture.classes, 1))
    if case.per_image:
        model = case.model()
        logits = _logits(model, pixels)
        return float_network(model), logits, whole * np.abs(logits).max()
    reduced, logits = _reduced(case)
    if variant == "fp32":
        return pruned_network(reduced), logits, whole * np.abs(logits).max()
    if variant == "weights":
        network = weights_only_network(reduced, pixels)
        logits = network.expected(pixels).astype(np.float64)
        return network, logits, whole * np.abs(logits).max()
    sums = adding_up(quantize_static(reduced, torch.from_numpy(normalise(pixels))))
    logits = integer_reference(sums).logits(pixels).astype(np.float64)
    return quantized_network(reduced, sums), logits, one_level(sums)[:, None]


def _compared(variant: str, found: Floats, expected: Floats, limit: Floats) -> float:
    """The largest difference, in units of `limit`."""
    assert found.shape == expected.shape
    assert np.isfinite(expected).all(), "torch computes no numbers"
    off = float((np.abs(found - expected) / limit).max())
    assert off <= 1, f"{variant} is off by {off:.3g} times what is allowed"
    return off
