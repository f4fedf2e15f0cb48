"""What ships distilled stays with the whole network in static int8, away from the photographs."""

import torch

from lprnet.compression.distill.distilled import Distill
from lprnet.compression.prune.kept_widths import Keep
from lprnet.distillation.losses import divergence
from lprnet.distillation.text_agreement import fresh_plates
from lprnet.model.subnormals import subnormals_as_zero
from tests.conftest import RealData
from tests.prepared import prepared
from tests.shared_results import SharedResults


@subnormals_as_zero()
def test_at_28_million_it_is_close_to_the_whole_network(
    real_data: RealData, shared_results: SharedResults
) -> None:
    """Calibrated on the photographs alone, the same weights are 0.007 away."""
    network, *_ = shared_results.call(
        prepared,
        real_data.checkpoint,
        real_data.images,
        "static",
        "structured",
        None,
        Distill(),
        Keep(mmac=28),
    )
    images, _ = fresh_plates(300)
    assert network.original is not None
    logits = [torch.from_numpy(one(images)) for one in (network.expected, network.original)]
    assert float(divergence(*logits)) < 0.005
