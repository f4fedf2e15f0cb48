"""The compiled int8 network is the specified one, integer for integer, on all 1000 real images.

`lprnet/compression/quantize/integer_reference.py` shares nothing with the kernels; that it is exact
itself is what `tests/compression/quantize/test_post_training.py` shows against NumPy.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from lprnet.compiler.compile import Source, compile_network
from lprnet.compiler.targets import find_target
from lprnet.compression.calibration import calibrate, calibration_files, read_images
from lprnet.compression.compiler_inputs import quantized_network
from lprnet.compression.quantize.integer_reference import integer_reference
from lprnet.compression.quantize.post_training import quantize_static
from lprnet.compression.reduced import reduce
from lprnet.model.checkpoint import load_model
from lprnet.model.preprocessing import normalise
from lprnet.runtime.image_io import read_image
from lprnet.runtime.image_paths import list_images
from lprnet.runtime.recognizer import Recognizer
from tests.adding_up import adding_up, one_level
from tests.conftest import RealData


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
    reduced = reduce(model)
    quantized = adding_up(quantize_static(reduced, inputs, winograd=True))
    built = compile_network(
        quantized_network(reduced, quantized),
        [target],
        Source(real_data.checkpoint, tuple(file.name for file in files)),
        images[:2],
        tmp_path / "lprnet-int8.so",
    )
    pixels = np.stack([read_image(path) for path in list_images([str(real_data.images)])])
    found = Recognizer(built.artifact).logits(pixels).astype("float64")
    network = integer_reference(quantized)
    expected = np.concatenate([network.logits(some) for some in np.array_split(pixels, 20)])
    assert len(found) == 1000
    assert found.any(axis=(0, 2)).mean() > 0.9
    difference = np.abs(found - expected) / one_level(quantized)[:, None]
    assert difference.max() < 0.3
