"""What a case must compute, through the passes alone and through generated code."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import tvm
from numpy.typing import NDArray
from tvm import tirx

from lprnet.compiler.compile import Source, compile_network
from lprnet.compiler.network import CompilerInput
from lprnet.compiler.targets import find_target
from lprnet.compression.calibration import calibrate
from lprnet.compression.compact import compact_network
from lprnet.compression.compiler_inputs import (
    float_network,
    pruned_network,
    quantized_network,
    weights_only_network,
)
from lprnet.compression.quantize.post_training import quantize_static, quantize_weights
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.model.lprnet import LPRNet
from lprnet.model.preprocessing import OFFSET, SCALE, normalise
from lprnet.runtime.artifact import missing_flags
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from relay_passes.pipeline import lower_graph, quantize_graph
from schedules.workloads.match import match
from tests import quantized_reference, relax_reference
from tests.adding_up import added_up, adding_up, one_level, terms
from tests.differential.random_case import VARIANTS, RandomCase

CLOSE_GRAPH, CLOSE_CODE = 1e-6, 1e-4
"""Of the largest logit: a graph is evaluated in float64, of weights folded in float32."""
EXACT = 0.3
"""Of one level of one integer at one position (`adding_up`): below a half nothing is off by one."""
ROUNDED = 2.0**-24
"""Of a sum of levels, by each rounding to float32: of half a million levels it hides one."""

Floats = NDArray[np.float64]


def check_graph(case: RandomCase, _folder: Path) -> dict[str, float]:
    """The graphs after all passes in front of lowering compute what torch computes, int8 every
    integer of the reference; and each can be lowered for a target of its own, in one variant to
    kernels that are recognised. A network with calibrated context means is checked in every
    variant, since its export takes the longest, others in float32 alone. Raises `AssertionError`.
    """
    if is_refused(case):
        return {"refused": 1.0}
    pixels, measured = case.pixels(), dict[str, float]()
    inputs = normalise(pixels).astype(np.float64)
    for variant, target in zip(VARIANTS, case.targets, strict=True):
        if case.per_image and variant != "fp32":
            continue
        network, expected, unit, limit = _network(case, variant, CLOSE_GRAPH)
        graph = quantize_graph(network.module, network.scales, OFFSET, SCALE)
        lowered = lower_graph(graph, find_target(target).isa, OFFSET, SCALE)
        if variant == case.variant:  # what a build asks of each kernel
            unknown = [name for name, kernel in _kernels(lowered) if match(kernel) is None]
            assert not unknown, f"no schedule covers {', '.join(unknown)}"
        if variant == "fp32":
            found = relax_reference.evaluate(graph, torch.from_numpy(inputs)).numpy()
        else:  # static int8 reads pixels as they are
            read = pixels.transpose(0, 3, 1, 2) if variant == "static" else inputs
            found = quantized_reference.evaluate(graph, read.astype(np.float64))
        measured[variant] = _compared(variant, found / unit, expected, limit)
    return measured


def check_code(case: RandomCase, folder: Path) -> dict[str, float]:
    """The artifact of one variant computes the same, where this CPU can run it. Raises
    `AssertionError`.
    """
    if is_refused(case):
        return {"refused": 1.0}
    network, expected, unit, limit = _network(case, case.variant, CLOSE_CODE)
    source = folder / "none"
    source.touch()
    path, target = folder / "lprnet.so", find_target(case.target)
    built = compile_network(network, [target], Source(source, ()), case.pixels(), path)
    if missing_flags(built.manifest.target_versions[0]):
        return {"ran": 0.0}
    found = Recognizer(path).logits(case.pixels()).astype(np.float64)
    return {"ran": 1.0, "off": _compared(case.variant, found / unit, expected, limit)}


def _kernels(lowered: tvm.IRModule) -> list[tuple[str, tirx.PrimFunc]]:
    functions = lowered.functions.items()
    return [(var.name_hint, one) for var, one in functions if isinstance(one, tirx.PrimFunc)]


@lru_cache(1)
def _reduced(case: RandomCase) -> tuple[ReducedNetwork, Floats]:
    """The network with calibrated context means, and torch's logits: what its variants share."""
    model, pixels = _calibrated(case), case.pixels()
    return reduce(model), _logits(model, pixels)


def is_refused(case: RandomCase) -> bool:
    """Whether random weights have made a context 0 everywhere, which nothing can be divided by."""
    try:
        _calibrated(case)
    except UserError as error:
        return "has a mean square of 0 on" in str(error)
    return False


@lru_cache(1)
def _calibrated(case: RandomCase) -> LPRNet:
    return calibrate(case.model(), case.pixels())


@torch.no_grad()
def _logits(model: LPRNet, pixels: NDArray[np.uint8]) -> Floats:
    """Torch's, in float64; the model stays in float32."""
    images = torch.from_numpy(normalise(pixels)).double()
    logits: Floats = model.double()(images).numpy()
    model.float()
    return logits


@torch.no_grad()
def _weights_only_logits(reduced: ReducedNetwork, pixels: NDArray[np.uint8]) -> Floats:
    """Torch's, in float64, of the rounded weights. In float32, which a build compares with, they
    are off by up to three times `CLOSE_GRAPH` in two networks of 1,700.
    """
    images = torch.from_numpy(normalise(pixels))
    rounded = quantize_weights(reduced.compact, images)
    tensors = {
        name: (one.tensors()[0].double(), one.tensors()[1].double())
        for name, one in rounded.items()
    }
    network = compact_network(reduced.architecture, tensors)
    logits: Floats = network.logits(images.double()).numpy()
    return logits


def _network(
    case: RandomCase, variant: str, close: float
) -> tuple[CompilerInput, Floats, Floats, Floats]:
    """What the compiler is given; what torch computes, `(N, classes, positions)`; the unit of that,
    `(classes, 1)`; and how far from it an output may be, in this unit.

    The unit is the largest logit, or of integers one level. `close` is the limit of the former.
    """
    pixels, classes = case.pixels(), case.architecture.classes
    if variant == "static":
        reduced, _ = _reduced(case)
        quantized = quantize_static(reduced, torch.from_numpy(normalise(pixels)), winograd=True)
        levels, sums = added_up(quantized, pixels), adding_up(quantized)
        unit = one_level(sums)[:, None]
        # An output that adds nothing up has infinite levels, and must be 0.
        unit[np.isinf(unit)] = np.finfo(np.float64).tiny
        limit = np.maximum(EXACT, ROUNDED * (terms(sums) + 3) * levels)
        return quantized_network(reduced, sums), levels, unit, limit
    if case.per_image:
        model = case.model()
        network, logits = float_network(model), _logits(model, pixels)
    else:
        reduced, logits = _reduced(case)
        network = pruned_network(reduced)
        if variant == "weights":
            network = weights_only_network(reduced, pixels)
            logits = _weights_only_logits(reduced, pixels)
    largest = np.full((classes, 1), np.abs(logits).max())
    return network, logits / largest, largest, np.array(close)


def _compared(variant: str, found: Floats, expected: Floats, limit: Floats) -> float:
    """The largest difference, in units of `limit`."""
    assert found.shape == expected.shape
    assert np.isfinite(expected).all(), "torch computes no numbers"
    off = float((np.abs(found - expected) / limit).max())
    assert off <= 1, f"{variant} is off by {off:.3g} times what is allowed"
    return off
