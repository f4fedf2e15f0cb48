import pytest
import tvm
from tvm import relax, topi
from tvm.relax.op import add, nn

from relay_passes.dataflow import Dataflow, New, array, constant, is_call
from tests.relax_networks import const, module, per_channel


def test_rebuilding_without_a_rewrite_changes_nothing() -> None:
    before = module(lambda x: nn.relu(add(x, per_channel(1, 2))), (1, 2, 3, 3))
    after = Dataflow(before["main"]).rebuild(lambda _var, _value, _new: None)
    tvm.ir.assert_structural_equal(after, before["main"])


def test_bindings_without_users_are_removed() -> None:
    before = module(lambda x: nn.relu(add(x, per_channel(1, 2))), (1, 2, 3, 3))
    graph = Dataflow(before["main"])

    def rewrite(_var: relax.Var, value: relax.Expr, new: New) -> relax.Expr | None:
        return nn.relu(new(graph.parameters[0])) if is_call(value, "nn.relu") else None

    expected = module(nn.relu, (1, 2, 3, 3))
    tvm.ir.assert_structural_equal(graph.rebuild(rewrite), expected["main"])


def test_users_and_the_single_user() -> None:
    graph = Dataflow(module(lambda x: add(nn.relu(x), nn.relu(x)), (1, 2, 3, 3))["main"])
    x = graph.parameters[0]
    first, second, total, result = graph.values
    assert graph.users[x] == [first, second]
    assert graph.single_user(x) is None
    assert graph.single_user(first) == total
    assert graph.single_user(total) == result == graph.result
    assert graph.single_user(result) is None


def test_only_tensor_constants_have_an_array() -> None:
    values = array(constant([1.0, 2.0]))
    assert values is not None
    assert values.tolist() == [1.0, 2.0]
    assert array(relax.Var("x", relax.TensorType((1,), "float32"))) is None
    assert array(relax.Tuple([const(1.0)])) is None


def test_a_body_outside_a_dataflow_block_is_refused() -> None:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((2,), "float32"))
    with builder.function("main", [x]):
        builder.emit_func_output(builder.emit(nn.relu(x)))
    with pytest.raises(ValueError, match="one dataflow block"):
        Dataflow(builder.get()["main"])


def test_kernel_calls_are_counted_by_name() -> None:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((2,), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            once = builder.emit(builder.call_te(topi.nn.relu, x))
            twice = builder.emit(builder.call_te(topi.nn.relu, once))
            result = builder.emit_output(builder.call_te(topi.negative, twice))
        builder.emit_func_output(result)
    graph = Dataflow(builder.get()["main"])
    assert graph.kernel_calls() == {"relu": 2, "negative": 1}
