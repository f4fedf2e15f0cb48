"""The compiled int8 network is the specified one, integer for integer, on all 1000 real images.

`lprnet/compression/quantize/integer_reference.py` shares nothing with the kernels; that it is exact
itself is what `tests/compression/quantize/test_post_training.py` shows against NumPy.
"""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lprnet.compiler.compile import Source, compile_network
from lprnet.compiler.targets import find_target
from lprnet.compression.calibration import calibrate, calibration_files, read_images
from lprnet.compression.quantize.integer_reference import integer_network
from lprnet.compression.quantize.post_training import static
from lprnet.compression.variants import quantized_network
from lprnet.model.checkpoint import load_model
from lprnet.model.conv_graph import CONTAINER, LAYERS, context_columns, weight_and_bias
from lprnet.model.lprnet import CONTEXT_POOLS
from lprnet.model.preprocessing import normalise
from lprnet.model.quantized import Quantization, QuantizedWeight
from lprnet.runtime.alphabet import CLASSES
from lprnet.runtime.image_io import list_images, read_image
from lprnet.runtime.recognizer import Recognizer
from tests.conftest import RealData

CONTEXTS = [layer for layer in LAYERS if layer.context is not None]
ROWS = CLASSES // len(CONTEXTS)
"""Outputs for each context."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(t, marks=pytest.mark.isa(t)) for t in ("broadwell", "cascadelake")],
)
def test_every_integer_on_every_image(name: str, real_data: RealData, tmp_path: Path) -> None:
    target = find_target(name)
    files = calibration_files(real_data.images)[:10]
    images = read_images(files)
    model = calibrate(load_model(real_data.checkpoint), images)
    inputs = torch.from_numpy(normalise(images))
    quantization = adding_up(static(model, inputs))
    built = compile_network(
        quantized_network(quantization),
        [target],
        Source(real_data.checkpoint, tuple(file.name for file in files)),
        images[:2],
        tmp_path / "lprnet-int8.so",
    )
    pixels = np.stack([read_image(path) for path in list_images([str(real_data.images)])])
    found = Recognizer(built.artifact).logits(pixels).astype("float64")
    network = integer_network(quantization)
    expected = np.concatenate([network.logits(some) for some in np.array_split(pixels, 20)])
    assert len(found) == 1000
    assert found.any(axis=(0, 2)).mean() > 0.9
    difference = np.abs(found - expected) / one_level(quantization)[:, None]
    assert difference.max() < 0.3


def adding_up(quantization: Quantization) -> Quantization:
    """Its logits replaced by sums of a few of its integers: a wrong one, by one level at one
    position, cannot hide behind a small weight.
    """
    model = copy.deepcopy(quantization.model)
    weight, bias = weight_and_bias(model, CONTAINER)
    values = np.zeros(weight.shape, np.int8)
    columns = context_columns(model)
    for context, channels in enumerate(columns):
        for channel in range(channels.start, channels.stop):
            values[context * ROWS + channel % ROWS, channel] = 1
    with torch.no_grad():
        weight.copy_(torch.from_numpy(values))
        bias.zero_()
    ones, zeros = np.ones(CLASSES, np.float32), np.zeros(CLASSES, np.float32)
    return replace(quantization, model=model, container=QuantizedWeight(values, ones, zeros))


def one_level(quantization: Quantization) -> NDArray[np.float64]:
    """(CLASSES,): what one level at one position changes in an output of `adding_up`."""
    steps = np.zeros(CLASSES)
    for context, layer in enumerate(CONTEXTS):
        pool = CONTEXT_POOLS[context]
        window = 1 if pool is None else pool[0][0] * pool[0][1]
        scale = quantization.layers[layer.name].output_scale
        steps[context * ROWS : (context + 1) * ROWS] = scale / (4 * window)
    return steps
