"""What many tests build, prepared once: quantization, pruning and a portable artifact take half a
minute of CPU time each, so tests call these functions through `SharedResults`.
"""

from pathlib import Path

import numpy as np
import torch

from lprnet.build import Request, build
from lprnet.compression.calibration import calibrate
from lprnet.compression.quantize.post_training import quantize_static
from lprnet.compression.quantize.quantized_network import QuantizedNetwork
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.compression.variants import prepare
from lprnet.model.checkpoint import load_model
from lprnet.model.preprocessing import normalise
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.synthetic.render import sample_plates
from lprnet.weights import DEFAULT_CHECKPOINT

prepared = subnormals_as_zero()(prepare)
"""`prepare` as `lprnet.build.build` calls it: what a build gives its compiler."""


def default_artifact(target: str, folder: Path) -> Path:
    """The artifact of the default model in float32 for `target`, written into `folder`, which must
    be of the session.
    """
    request = Request(DEFAULT_CHECKPOINT, None, None, target, "manual", None, folder)
    return build(request)[0].artifact


def quantized_on_few_plates() -> tuple[ReducedNetwork, QuantizedNetwork]:
    """The default model and its static int8, calibrated on ten rendered plates: for tests that do
    not judge what it reads.
    """
    images = np.stack([image for image, _ in sample_plates(10)])
    reduced = reduce(calibrate(load_model(DEFAULT_CHECKPOINT), images))
    return reduced, quantize_static(reduced, torch.from_numpy(normalise(images)), winograd=True)
