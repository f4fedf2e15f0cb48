import numpy as np
import pytest

from lprnet.model.published_lprnet import LPRNET_CHINA
from lprnet.onnx_import.qdq_layer import NOT_CONSTANT, IntegerLayer, pairs_are_chosen


def layer(pair: tuple[int, int], output_qmax: int) -> IntegerLayer:
    values = np.array(pair, np.int64).reshape(1, 2, 1, 1)
    one, zero = np.ones(1, np.float32), np.zeros(1, np.int64)
    scales = (1.0, 0, 1.0, 1.0)
    return IntegerLayer(values, one, zero, np.array([NOT_CONSTANT]), *scales, output_qmax)


@pytest.mark.parametrize(("first_qmax", "chosen"), [(127, True), (255, False)])
def test_pairs_are_judged_by_the_largest_integer_that_each_layer_reads(
    first_qmax: int, chosen: bool
) -> None:
    """Two weights of 127 fit on 0 to 127, and one on 0 to 255."""
    first, second, *others = (conv.name for conv in LPRNET_CHINA.backbone)
    integers = {name: layer((127, 1), 255) for name in others}
    integers |= {first: layer((127, 127), first_qmax), second: layer((127, 127), 255)}
    assert pairs_are_chosen(LPRNET_CHINA, integers) == chosen
