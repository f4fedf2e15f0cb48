"""Layers that emit 0 to 127 among layers that emit 0 to 255: the artifact's integers are exact."""

from pathlib import Path

import numpy as np
import torch

from lprnet.compiler.compile import Source, compile_network
from lprnet.compiler.targets import find_target
from lprnet.compression.compiler_inputs import quantized_network
from lprnet.compression.quantize.integer_reference import integer_reference
from lprnet.model.architecture import Conv
from lprnet.runtime.recognizer import Recognizer
from lprnet.synthetic.render import sample_plates
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.adding_up import added_up, adding_up, one_level
from tests.mixed_activations import mixed_activations
from tests.prepared import quantized_on_few_plates
from tests.shared_results import SharedResults


def test_every_integer_of_mixed_activations(shared_results: SharedResults, tmp_path: Path) -> None:
    """Also of those that are rounded again before they are read."""
    reduced, quantized = shared_results.call(quantized_on_few_plates)
    quantized = adding_up(mixed_activations(quantized))
    images = np.stack([image for image, _ in sample_plates(20)])
    network = quantized_network(reduced, quantized)
    source = Source(DEFAULT_CHECKPOINT, ())
    built = compile_network(
        network, [find_target("native")], source, images[:2], tmp_path / "mixed.so"
    )
    found = Recognizer(built.artifact).logits(images) / one_level(quantized)[:, None]
    np.testing.assert_array_equal(np.rint(found), added_up(quantized, images))
    kernels = [kernel.kernel for kernel in built.compiled[0].kernels]
    assert sum(kernel.startswith("look_up") for kernel in kernels) == 3


def test_each_layer_emits_up_to_its_own_largest_integer(shared_results: SharedResults) -> None:
    _, quantized = shared_results.call(quantized_on_few_plates)
    quantized = mixed_activations(quantized)
    reference, emitted = integer_reference(quantized), {}

    def conv_relu(conv: Conv, x: torch.Tensor) -> torch.Tensor:
        y = reference.conv_relu(conv, x)
        emitted[conv.name] = int(y.max())
        return y

    images = np.stack([image for image, _ in sample_plates(20)])
    reference.integers.activations(torch.from_numpy(images).permute(0, 3, 1, 2).float(), conv_relu)
    largest = {name: layer.output_qmax for name, layer in quantized.layers.items()}
    assert set(largest.values()) == {127, 255}
    assert all(emitted[name] <= qmax for name, qmax in largest.items())
    assert all(emitted[name] > 127 for name, qmax in largest.items() if qmax == 255)
    assert 127 in emitted.values()
