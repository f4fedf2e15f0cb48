import tvm
from tvm import relax
from tvm.relax.op import add, nn, power, reshape, square, zeros_like

from relay_passes.canonicalize_export import CanonicalizeExport
from tests.relax_networks import apply, const, module, per_channel

SHAPE = (1, 2, 6, 6)


def test_a_pools_tuple_is_the_pool() -> None:
    def pooled(x: relax.Expr) -> relax.Expr:
        pool = nn.max_pool2d(x, (3, 3))
        return nn.relu(relax.TupleGetItem(relax.Tuple([pool, zeros_like(pool)]), 0))

    expected = module(lambda x: nn.relu(nn.max_pool2d(x, (3, 3))), SHAPE)
    tvm.ir.assert_structural_equal(apply(CanonicalizeExport(), module(pooled, SHAPE)), expected)


def test_a_reshaped_constant_is_a_constant() -> None:
    before = module(lambda x: add(x, reshape(const([1, 2]), (1, 2, 1, 1))), SHAPE)
    expected = module(lambda x: add(x, per_channel(1, 2)), SHAPE)
    tvm.ir.assert_structural_equal(apply(CanonicalizeExport(), before), expected)


def test_a_power_of_two_is_a_square() -> None:
    before = module(lambda x: power(x, const(2.0)), SHAPE)
    tvm.ir.assert_structural_equal(apply(CanonicalizeExport(), before), module(square, SHAPE))


def test_other_powers_and_reshapes_are_left_alone() -> None:
    before = module(lambda x: reshape(power(x, const(3.0)), (1, 72)), SHAPE)
    tvm.ir.assert_structural_equal(apply(CanonicalizeExport(), before), before)
