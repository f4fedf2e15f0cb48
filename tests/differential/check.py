"""What a case must compute, through the passes alone and through generated code."""

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
    quantized_network,
    weights_only_network,
)
from lprnet.compression.quantize.integer_reference import integer_reference
from lprnet.compression.quantize.post_training import quantize_static
from lprnet.compression.reduced import reduce
from lprnet.model.preprocessing import OFFSET, SCALE, normalise
from lprnet.runtime.artifact import missing_flags
from lprnet.runtime.recognizer import Recognizer
from relay_passes.pipeline import quantize_graph
from tests import quantized_reference, relax_reference
from tests.adding_up import adding_up, one_level
from tests.differential.random_case import RandomCase

CLOSE_GRAPH, CLOSE_CODE = 1e-6, 1e-4
"""Of the largest logit: a graph is evaluated in float64, of weights folded in float32."""
EXACT = 0.3
"""Of one level of one integer at one position (`adding_up`): below a half nothing is off by one."""

Floats = NDArray[np.float64]


def check_graph(case: RandomCase, _folder: Path) -> dict[str, float]:
    """The graph after all passes in front of lowering computes what torch computes, int8 every
    integer of the reference; and it can be lowered. Raises `AssertionError`.
    """
    network, expected, bounds = _network(case)
    lower(network, find_target(case.target).isa)
    if case.variant == "static":  # its graph reads pixels as they are
        graph = quantize_graph(network.module, network.scales, OFFSET, SCALE)
        pixels = case.pixels().transpose(0, 3, 1, 2).astype(np.float64)
        found = np.concatenate([quantized_reference.evaluate(graph, one[None]) for one in pixels])
        return _compared(found, expected, EXACT * bounds)
    inputs = torch.from_numpy(normalise(case.pixels())).double()
    found = relax_reference.evaluate(network.module, inputs).numpy()
    return _compared(found, expected, CLOSE_GRAPH * bounds)


def check_code(case: RandomCase, folder: Path) -> dict[str, float]:
    """The artifact computes the same, where this CPU can run it. Raises `AssertionError`."""
    network, expected, bounds = _network(case)
    source = folder / "none"
    source.touch()
    path, target = folder / "lprnet.so", find_target(case.target)
    built = compile_network(network, [target], Source(source, ()), case.pixels(), path)
    if missing_flags(built.manifest.target_versions[0]):
        return {"ran": 0.0}
    found = Recognizer(path).logits(case.pixels()).astype(np.float64)
    limit = EXACT if case.variant == "static" else CLOSE_CODE
    return {"ran": 1.0, **_compared(found, expected, limit * bounds)}


def _network(case: RandomCase) -> tuple[CompilerInput, Floats, Floats]:
    """What the compiler is given; what torch computes, `(N, classes, positions)`; and the unit of a
    difference, `(classes, 1)`: the largest logit, or of integers one level.
    """
    model, pixels = case.model(), case.pixels()
    whole = np.ones((case.architecture.classes, 1))
    if case.variant == "fp32":
        if case.number % 2:
            calibrate(model, pixels)
        with torch.no_grad():
            logits = model.double()(torch.from_numpy(normalise(pixels)).double()).numpy()
        return float_network(model.float()), logits, whole * np.abs(logits).max()
    reduced = reduce(calibrate(model, pixels))
    if case.variant == "weights":
        network = weights_only_network(reduced, pixels)
        logits = network.expected(pixels).astype(np.float64)
        return network, logits, whole * np.abs(logits).max()
    quantized = quantize_static(reduced, torch.from_numpy(normalise(pixels)))
    sums = adding_up(quantized)
    logits = integer_reference(sums).logits(pixels).astype(np.float64)
    return quantized_network(reduced, sums), logits, one_level(sums)[:, None]


def _compared(found: Floats, expected: Floats, limit: Floats) -> dict[str, float]:
    """The largest difference, in units of `limit`."""
    assert found.shape == expected.shape
    assert np.isfinite(expected).all(), "torch computes no numbers"
    off = float((np.abs(found - expected) / limit).max())
    assert off <= 1, f"off by {off:.3g} times what is allowed"
    return {"off": off}
