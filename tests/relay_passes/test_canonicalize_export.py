import tvm
from tvm.relax.op import add, nn, reshape

from relay_passes.canonicalize_export import CanonicalizeExport
from tests.relax_networks import apply, const, module, per_channel

SHAPE = (1, 2, 6, 6)


def test_a_reshaped_constant_is_a_constant() -> None:
    before = module(lambda x: add(x, reshape(const([1, 2]), (1, 2, 1, 1))), SHAPE)
    expected = module(lambda x: add(x, per_channel(1, 2)), SHAPE)
    tvm.ir.assert_structural_equal(apply(CanonicalizeExport(), before), expected)


def test_other_reshapes_are_left_alone() -> None:
    before = module(lambda x: reshape(nn.relu(x), (1, 72)), SHAPE)
    tvm.ir.assert_structural_equal(apply(CanonicalizeExport(), before), before)
