"""Static int8 is rounded for Winograd's algorithm where it is calibrated on rendered plates too."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lprnet.compression import variants
from lprnet.compression.reduced import ReducedNetwork
from lprnet.synthetic.render import sample_plates
from lprnet.weights import DEFAULT_CHECKPOINT


class Asked(Exception):
    """Ends `prepare` where it quantizes."""


@pytest.mark.usefixtures("few_calibration_images")
@pytest.mark.parametrize("photographs", [False, True])
def test_not_on_photographs_alone(
    photographs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(_network: ReducedNetwork, _images: NDArray[np.uint8], winograd: bool) -> None:
        raise Asked(winograd)

    monkeypatch.setattr(variants, "static_network", asked)
    for index, (image, _) in enumerate(sample_plates(3)):
        cv2.imwrite(str(tmp_path / f"{index}.png"), image)
    folder = tmp_path if photographs else None
    with pytest.raises(Asked) as found:
        variants.prepare(DEFAULT_CHECKPOINT, folder, "static")
    assert found.value.args == (not photographs,)
