"""The unpruned network's answers to the images of a training step.

On a CPU the compiler's own code gives them. In it the public checkpoint takes 1.1 ms of a Zen 3
core for a plate, in torch 6.4 ms, nearly half of what a step took.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lprnet.compiler.compile import Source, compile_network
from lprnet.compiler.targets import find_targets
from lprnet.compression.compact import CompactNetwork
from lprnet.compression.compiler_inputs import pruned_network
from lprnet.compression.reduced import ReducedNetwork
from lprnet.distillation.augment import normalised
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.scratch_folder import scratch_folder

Answers = Callable[[Tensor], Tensor]
"""Images `(N, 24, 94, 3)` uint8 BGR to logits `(N, 68, 18)` float32, on the same device."""


@contextmanager
def compiled_answers(
    reduced: ReducedNetwork, checkpoint: Path, images: NDArray[np.uint8]
) -> Iterator[Answers]:
    """Those of `reduced`, which was read from `checkpoint`, by an artifact that is gone afterwards.

    `images` `(N, 24, 94, 3)` uint8 BGR are what the artifact is compared with torch on. Raises as
    `compile_network`.
    """
    with scratch_folder() as folder:
        artifact = folder / "teacher.so"
        network = pruned_network(reduced)
        compile_network(network, find_targets("native"), Source(checkpoint, ()), images, artifact)
        yield partial(_read, Recognizer(artifact, threads=torch.get_num_threads()))


@torch.no_grad()
def torch_answers(network: CompactNetwork, images: Tensor) -> Tensor:
    """Those of `network`, which is on the device of `images`."""
    return network.logits(normalised(images))


def _read(reader: Recognizer, images: Tensor) -> Tensor:
    return torch.from_numpy(reader.logits(images.numpy()))
