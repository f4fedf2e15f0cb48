"""What ships is still recognised by the public checkpoint, and reads its photographs."""

import pytest

from lprnet.compression.calibration import read_images
from lprnet.compression.compiler_inputs import compact_logits
from lprnet.compression.distill.result import network_key, read_result, shipped
from lprnet.compression.half_rows import halved
from lprnet.compression.prune.recorded_widths import recorded_widths_to_train
from lprnet.model.checkpoint import load_model
from lprnet.runtime.decode import greedy
from lprnet.runtime.image_paths import images_in, label_of
from tests.conftest import RealData


@pytest.mark.parametrize(("mmac", "least"), [(20, 886), (28, 897)])
def test_the_public_checkpoint_is_not_trained_again(
    mmac: int, least: int, real_data: RealData
) -> None:
    """A change of the architecture's JSON would go unnoticed otherwise."""
    model = load_model(real_data.checkpoint)
    kept = recorded_widths_to_train(model.architecture, mmac)
    assert kept is not None
    widths = kept.widths
    architecture = halved(model.architecture) if kept.half_rows else model.architecture
    assert architecture is not None
    content = real_data.checkpoint.read_bytes()
    file = shipped(network_key(content, architecture, widths))
    assert file is not None
    network = read_result(file, architecture)
    assert {name: len(network.biases[name]) for name in widths} == widths
    paths = images_in(real_data.images)
    plates = greedy(compact_logits(network, read_images(paths)))
    right = sum(plate.text == label_of(path) for plate, path in zip(plates, paths, strict=True))
    assert right >= least
    assert shipped(network_key(content + b"0", architecture, widths)) is None
