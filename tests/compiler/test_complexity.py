import numpy as np
from tvm import relax
from tvm.relax.op import add, nn, take

from lprnet.compiler.complexity import count_macs, count_parameters
from tests.relax_networks import const, module, per_channel


def network(x: relax.Expr) -> relax.Expr:
    y = add(nn.conv2d(x, const(np.ones((4, 2, 3, 1))), padding=(1, 0)), per_channel(1, 2, 3, 4))
    picked = take(y, relax.const(np.array([0, 2]), "int64"), axis=1)
    return nn.conv2d(picked, const(np.ones((5, 2, 2, 2))), strides=2)


def test_macs_count_outputs_times_window_times_inputs() -> None:
    first, second = 4 * 6 * 8 * (2 * 3 * 1), 5 * 3 * 4 * (2 * 2 * 2)
    assert count_macs(module(network, (1, 2, 6, 8))) == first + second
    assert count_macs(module(network, (3, 2, 6, 8))) == 3 * (first + second)


def test_parameters_are_the_float_constants() -> None:
    assert count_parameters(module(network, (1, 2, 6, 8))) == 4 * 2 * 3 + 4 + 5 * 2 * 2 * 2
