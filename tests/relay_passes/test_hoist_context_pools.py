import torch
import tvm
import tvm_ffi
from tvm import relax
from tvm.relax.op import add, nn

from relay_passes.hoist_context_pools import HoistContextPools
from tests.relax_networks import Emit, apply, shared_module
from tests.relax_reference import evaluate

SHAPE = (1, 2, 6, 6)


def pool(x: relax.Expr, size: tuple[int, int] = (3, 3)) -> relax.Expr:
    return nn.avg_pool2d(x, size, (1, 1))


def late(x: relax.Var, emit: Emit) -> relax.Expr:
    y = emit(nn.relu(x))
    z = emit(nn.max_pool2d(y, (3, 3)))
    w = emit(nn.relu(z))
    context = emit(pool(y))
    return add(w, context)


def early(x: relax.Var, emit: Emit) -> relax.Expr:
    y = emit(nn.relu(x))
    context = emit(pool(y))
    z = emit(nn.max_pool2d(y, (3, 3)))
    w = emit(nn.relu(z))
    return add(w, context)


def test_a_pool_moves_to_what_it_reads() -> None:
    before = shared_module(late, SHAPE)
    after = apply(HoistContextPools(), before)
    tvm.ir.assert_structural_equal(after, shared_module(early, SHAPE))
    assert not tvm_ffi.structural_equal(after, before)
    x = torch.rand(*SHAPE) - 0.5
    torch.testing.assert_close(evaluate(after, x), evaluate(before, x), rtol=0, atol=0)


def test_a_pool_of_a_pool_follows_it_and_two_pools_keep_their_order() -> None:
    def before(x: relax.Var, emit: Emit) -> relax.Expr:
        y = emit(nn.relu(x))
        z = emit(nn.relu(y))
        first = emit(pool(y))
        mean = emit(pool(first, (2, 1)))
        second = emit(pool(y, (4, 3)))
        return add(add(emit(pool(z, (4, 3))), mean), second)

    def after(x: relax.Var, emit: Emit) -> relax.Expr:
        y = emit(nn.relu(x))
        first = emit(pool(y))
        mean = emit(pool(first, (2, 1)))
        second = emit(pool(y, (4, 3)))
        z = emit(nn.relu(y))
        return add(add(emit(pool(z, (4, 3))), mean), second)

    got = apply(HoistContextPools(), shared_module(before, SHAPE))
    tvm.ir.assert_structural_equal(got, shared_module(after, SHAPE))


def test_a_pool_of_the_image_stays_where_it_is() -> None:
    def network(x: relax.Var, emit: Emit) -> relax.Expr:
        y = emit(nn.max_pool2d(x, (3, 3)))
        return add(y, emit(pool(x)))

    before = shared_module(network, SHAPE)
    tvm.ir.assert_structural_equal(apply(HoistContextPools(), before), before)


def test_what_is_in_place_stays() -> None:
    before = shared_module(early, SHAPE)
    tvm.ir.assert_structural_equal(apply(HoistContextPools(), before), before)
