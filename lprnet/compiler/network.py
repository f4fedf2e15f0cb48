"""What the compiler is given: a reduced graph, the scales of its integers, what it must compute."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import tvm
from numpy.typing import NDArray
from torch import Tensor

from lprnet.compiler.parity import MAX_RELATIVE_ERROR
from lprnet.model.architecture import Architecture
from lprnet.model.lprnet import LPRNet
from lprnet.model.preprocessing import normalise
from lprnet.runtime.decode import Logits
from relay_passes.insert_quantize import LayerScales

PART = 20
"""Images that torch computes at once. The feature maps of 100 do not fit into the cache, and each
gets new pages of memory: 2.8 s of CPU time for the default model, 1.3 s in parts, the same bits.
"""


@dataclass(frozen=True)
class LayerSummary:
    """What quantization made of one convolution, for a reader."""

    layer: str
    weight_scales: tuple[float, float] | None
    """The smallest and the largest of its output channels; None is float32."""
    activation_scale: float | None
    """Of what it emits, zero point 0; None is float32."""
    sqnr: float | None
    """Signal to quantization noise of what it emits, dB; None where only weights are rounded."""


@dataclass(frozen=True)
class CompilerInput:
    """One variant of the network, ready to be compiled."""

    variant: str
    module: tvm.IRModule
    """The reduced graph (`relay_passes.pipeline.reduce_graph`); of a quantized network the weights
    are whole multiples of their scales."""
    passes: tuple[str, ...]
    """The names of those that made `module`."""
    architecture: Architecture
    """Of the model that was reduced."""
    context_means: tuple[float, ...] | None
    """The constants of its context norm; None: each image's own."""
    scales: tuple[LayerScales | None, ...]
    """Of its convolutions in order, none for a float network (`relay_passes/pipeline.py`)."""
    expected: Logits
    """What the artifact must compute, by torch."""
    layers: tuple[LayerSummary, ...] = ()
    """Of a quantized network, one a convolution."""
    pruning: str | None = None
    """What was pruned, for a reader."""
    stamped: bool = False
    """Whether the artifact gets a second function a target, which takes the time of each step."""
    original: Logits | None = None
    """What the float network computes that was made smaller; None where none was."""
    notes: tuple[str, ...] = ()
    """Sentences that a user should know although nothing failed."""
    max_error: float = MAX_RELATIVE_ERROR
    """How far its logits may be from `expected`, relative to the largest."""


def torch_logits(model: LPRNet, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`(N, 24, 94, 3)` uint8 BGR to `(N, 68, 18)` float32, by torch."""
    model.eval()
    return in_parts(model, images)


@torch.inference_mode()
def in_parts(logits: Callable[[Tensor], Tensor], images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`logits` of `images` `(N, H, W, C)` uint8 as the network's input, `PART` at a time."""
    parts = range(0, max(len(images), 1), PART)
    inputs = (torch.from_numpy(normalise(images[start : start + PART])) for start in parts)
    return np.concatenate([logits(some).numpy() for some in inputs])
