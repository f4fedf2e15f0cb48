from pathlib import Path

import pytest

from lprnet.compression.prune.preset_widths import preset_widths
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import LPRNET_CHINA, lprnet
from lprnet.runtime.alphabet import Alphabet
from lprnet.support.errors import UserError

HEX = Alphabet("hex", (*"0123456789ABCDEF", "-"), 16)
FILE = Path("plates.pth")


@pytest.mark.parametrize("arithmetic", ["float32", "int8"])
def test_every_width_is_of_a_layer_and_narrower(arithmetic: str) -> None:
    widths = preset_widths(LPRNet(), FILE, arithmetic)
    assert widths
    for name, width in widths.items():
        assert 0 < width <= LPRNET_CHINA.conv(name).out_channels
        assert width % 8 == 0


def test_each_arithmetic_has_its_own() -> None:
    assert preset_widths(LPRNet(), FILE, "float32") != preset_widths(LPRNet(), FILE, "int8")


def test_the_alphabet_does_not_matter() -> None:
    other = LPRNet(lprnet(HEX))
    assert preset_widths(other, FILE, "int8") == preset_widths(LPRNet(), FILE, "int8")


def test_another_architecture_is_refused_by_name() -> None:
    other = LPRNet(lprnet(HEX, widths=(64, 128, 128, 256, 256)))
    with pytest.raises(UserError, match=r"plates\.pth: .*--pruned=unstructured"):
        preset_widths(other, FILE, "float32")
