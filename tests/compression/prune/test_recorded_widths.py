from dataclasses import replace

import pytest

from lprnet.compression.prune.recorded_widths import recorded_widths, recorded_widths_to_train
from lprnet.model.published_lprnet import LPRNET_CHINA, lprnet
from lprnet.runtime.alphabet import CHINA, Alphabet
from lprnet.support.errors import UserError
from schedules.workloads.tile_conv import COLUMNS

HEX = Alphabet("hex", (*"0123456789ABCDEF", "-"), 16)


@pytest.mark.parametrize("arithmetic", ["float32", "int8", "bf16"])
def test_every_width_is_of_a_layer_and_narrower(arithmetic: str) -> None:
    widths = recorded_widths(LPRNET_CHINA, arithmetic)
    assert widths
    for name, width in widths.items():
        assert 0 < width <= LPRNET_CHINA.conv(name).out_channels
        assert width % 8 == 0


def test_each_arithmetic_has_its_own() -> None:
    assert recorded_widths(LPRNET_CHINA, "float32") != recorded_widths(LPRNET_CHINA, "int8")


def test_those_for_tiles_are_whole_tiles() -> None:
    widths = recorded_widths(LPRNET_CHINA, "bf16")
    assert widths
    assert not any(width % COLUMNS for width in widths.values())


def test_a_folded_batch_norm_does_not_matter() -> None:
    """As in an ONNX file of the network."""
    backbone = tuple(replace(conv, norm=None) for conv in LPRNET_CHINA.backbone)
    folded = replace(LPRNET_CHINA, backbone=backbone)
    assert recorded_widths(folded, "int8") == recorded_widths(LPRNET_CHINA, "int8")


@pytest.mark.parametrize(
    "architecture",
    [
        lprnet(HEX),
        lprnet(CHINA, 32, 128),
        lprnet(CHINA, channels=1),
        lprnet(CHINA, widths=(64, 128, 128, 256, 256)),
    ],
    ids=["classes", "size", "grey", "widths"],
)
def test_another_network_has_none(architecture) -> None:  # type: ignore[no-untyped-def]
    assert recorded_widths(architecture, "float32") is None
    assert recorded_widths_to_train(architecture, 20) is None


def test_half_of_the_rows_go_at_20_million_and_none_at_28() -> None:
    for mmac, half in ((20, True), (27.9, True), (28, False), (60, False)):
        kept = recorded_widths_to_train(LPRNET_CHINA, mmac)
        assert kept is not None
        assert kept.half_rows == half
        assert all(kept.widths[n] < LPRNET_CHINA.conv(n).out_channels for n in kept.widths)


def test_a_budget_below_all_is_refused() -> None:
    with pytest.raises(UserError, match="no widths are known for 5 MMAC; give at least 20"):
        recorded_widths_to_train(LPRNET_CHINA, 5)
