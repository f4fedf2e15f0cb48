"""The memory plan, checked against an independent simulation of who writes each byte."""

from collections.abc import Collection
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relax
from tvm.relax.op import add, concat, dequantize, nn, strided_slice

from lprnet.compiler.memory_plan import MemoryPlan, plan_memory
from lprnet.runtime.artifact import ALIGNMENT
from relay_passes.dataflow import Dataflow, shape
from relay_passes.lower_to_kernels import LowerToKernels
from relay_passes.pipeline import lower_graph, reduce_graph
from schedules.isa import AVX2, AVX512_VNNI, Isa
from tests.relax_networks import NORMALISATION, Damage, Emit, apply, miniature, shared_module


def reads(value: relax.Expr) -> list[relax.Expr]:
    """Every variable that `value` mentions, tuples opened."""
    found: list[relax.Expr] = []
    relax.analysis.post_order_visit(
        value, lambda e: found.append(e) if isinstance(e, relax.Var) else None
    )
    return found


SCRATCH = -2
"""Owner of the bytes of a kernel's scratch memory."""


def is_kernel(value: relax.Expr) -> bool:
    return isinstance(value, relax.Call) and value.op.name == "relax.call_tir"


def is_max_pool(value: relax.Expr) -> bool:
    return bool(value.args[0].name_hint.startswith("maxpool"))


def cells(plan: MemoryPlan, var: relax.Var, itemsize: int) -> np.ndarray:
    """The plan bytes of each element of a tensor, its first byte each, as a set in an array."""
    view = plan.views[var]
    grid = np.indices(view.shape).reshape(len(view.shape), -1)
    elements = view.offset + np.array(view.strides) @ grid
    return plan.offsets[view.root] + elements * itemsize


def itemsize_of(var: relax.Var) -> int:
    return np.dtype(str(var.ty.dtype)).itemsize


def check_plan(graph: Dataflow, in_place: Collection[relax.Var] = ()) -> MemoryPlan:
    """Simulate the kernels with an owner for each byte of the arena: what a kernel reads must still
    be owned by the tensor's producer, although each kernel overwrites its scratch memory. A kernel
    of `in_place` may overwrite its operand, element by element.
    """
    scratch = {
        var: 1 + 97 * step % 700
        for step, (var, value) in enumerate(graph.values.items())
        if is_kernel(value)
    }
    plan = plan_memory(graph, scratch, in_place)
    owner = np.full(plan.size, -1)
    producers: dict[relax.Var, set[int]] = {}
    outside = {*graph.parameters, plan.views[graph.result].root}

    def sources(var: relax.Var, step: int) -> set[int]:
        """The steps that write `var`: a kernel, or the producers of its aliases."""
        value = graph.values.get(var)
        if value is None or is_kernel(value):
            return producers.get(var, set())
        through = {s for read in reads(value) if read in graph.users for s in sources(read, step)}
        return through | producers.get(var, set())

    steps = list(enumerate(graph.values.items()))
    # Two images; a kernel of constants runs before the first and never again.
    constant = [(n, (v, value)) for n, (v, value) in steps if is_kernel(value) and not reads(value)]
    per_image = [step for step in steps if step not in constant]
    for step, (var, value) in [*constant, *per_image, *per_image]:
        if is_kernel(value):
            start, end = plan.scratch[var], plan.scratch[var] + scratch[var]
            assert start % ALIGNMENT == 0
            assert end <= plan.size
            owner[start:end] = SCRATCH
            if plan.views[var].root not in outside:
                mine = cells(plan, var, itemsize_of(var))
                assert not ((start <= mine) & (mine < end)).any()
            for read in reads(value):
                if read in graph.users and plan.views[read].root not in outside:
                    written_by = set(owner[cells(plan, read, itemsize_of(read))].tolist())
                    assert written_by <= sources(read, step), f"{read} was overwritten before {var}"
                    if plan.views[var].root not in outside:
                        mine = cells(plan, var, itemsize_of(var))
                        theirs = cells(plan, read, itemsize_of(read))
                        if var in in_place and np.intersect1d(mine, theirs).size:
                            assert lies_on(plan, var, read)
                        else:
                            assert not np.intersect1d(mine, theirs).size
        writes_halo = isinstance(value, relax.Call) and value.op.name == "relax.nn.pad"
        if (is_kernel(value) or writes_halo) and plan.views[var].root not in outside:
            first = cells(plan, var, itemsize_of(var))
            if writes_halo:  # the middle stays what the padded tensor's kernel wrote
                first = np.setdiff1d(first, cells(plan, value.args[0], itemsize_of(var)))
            owner[(first[:, None] + np.arange(itemsize_of(var))).reshape(-1)] = step
            producers[var] = {step}
    return plan


def lies_on(plan: MemoryPlan, var: relax.Var, other: relax.Var) -> bool:
    """Whether elements of the same index have the same place."""
    one, two = plan.views[var], plan.views[other]
    return (one.root, one.offset, one.strides) == (two.root, two.offset, two.strides)


def check_places(graph: Dataflow, plan: MemoryPlan) -> None:
    """Bounds, alignment, and what must lie outside."""
    result = plan.views[graph.result].root
    assert result not in plan.offsets
    for parameter in graph.parameters:
        assert plan.views[parameter].root not in plan.offsets
    for root, offset in plan.offsets.items():
        size = prod(int(extent) for extent in root.ty.shape) * itemsize_of(root)
        assert offset % ALIGNMENT == 0
        assert 0 <= offset <= offset + size <= plan.size
    for var, view in plan.views.items():
        assert view.shape == tuple(int(extent) for extent in var.ty.shape)
        last = view.offset + sum((n - 1) * s for n, s in zip(view.shape, view.strides, strict=True))
        assert last < prod(int(extent) for extent in view.root.ty.shape)


@settings(max_examples=8, derandomize=True)
@given(
    seed=st.integers(0, 100),
    dead=st.sampled_from([0.0, 0.5, 0.9]),
    means=st.sampled_from([None, (1.0, 0.02, 7.0, 0.3)]),
    isa=st.sampled_from([AVX2, AVX512_VNNI]),
)
def test_no_live_tensor_is_overwritten(
    seed: int, dead: float, means: tuple[float, ...] | None, isa: Isa
) -> None:
    network = miniature(np.random.default_rng(seed), Damage(norm=dead, inner=dead / 2), means)
    graph = Dataflow(lower_graph(reduce_graph(network), isa, *NORMALISATION)["main"])
    pools = [v for v, value in graph.values.items() if is_kernel(value) and is_max_pool(value)]
    plan = check_plan(graph, pools)
    check_places(graph, plan)
    assert [lies_on(plan, var, graph.values[var].args[1].fields[0]) for var in pools] == [True] * 3
    tensors = sum(prod(int(n) for n in root.ty.shape) * itemsize_of(root) for root in plan.offsets)
    assert plan.size < tensors, "tensors that never live together share memory"


def test_dequantized_weights_outlive_the_image() -> None:
    """Two convolutions on int8 weights: their real values are computed once for all images."""
    zeros, scales = relax.const(np.zeros(8, "int8")), relax.const(np.ones(8, "float32"))

    def convolution(x: relax.Expr) -> relax.Expr:
        weight = relax.const(np.ones((8, int(x.ty.shape[1]), 3, 3), "int8"))
        bias = relax.const(np.ones((1, 8, 1, 1), "float32"))
        return nn.relu(add(nn.conv2d(x, dequantize(weight, scales, zeros, 0)), bias))

    def network(x: relax.Var, emit: Emit) -> relax.Expr:
        return convolution(emit(convolution(emit(convolution(x)))))

    graph = Dataflow(
        apply(LowerToKernels(AVX2, *NORMALISATION), shared_module(network, (1, 3, 9, 9)))["main"]
    )
    plan = check_plan(graph)
    check_places(graph, plan)
    constant = [v for v, value in graph.values.items() if is_kernel(value) and not reads(value)]
    assert len(constant) == 3


def graph_of(network: object, shape: tuple[int, ...] = (4, 6, 8)) -> Dataflow:
    return Dataflow(shared_module(network, shape)["main"])  # type: ignore[arg-type]


def pad(x: relax.Expr, rows: int = 1, columns: int = 0) -> relax.Expr:
    return nn.pad(x, [rows, rows, columns, columns, 0, 0])


def test_a_padded_tensor_lies_in_the_middle_of_its_padding() -> None:
    def network(x: relax.Var, emit: Emit) -> relax.Expr:
        y = emit(nn.relu(x))
        return nn.relu(emit(pad(y, 1, 2)))

    graph = graph_of(network)
    y, padded, *_ = graph.values
    view = plan_memory(graph, {}).views[y]
    assert view.root.same_as(padded)
    assert view.strides == (10 * 8, 8, 1)
    assert view.offset == 1 * 80 + 2 * 8


def test_a_slice_is_a_window_and_parts_lie_side_by_side() -> None:
    def network(x: relax.Var, emit: Emit) -> relax.Expr:
        y = emit(nn.relu(x))
        a = emit(nn.relu(emit(strided_slice(y, [0, 1, 2], [0, 0, 0], [4, 6, 3]))))
        b = emit(nn.relu(x))
        return nn.relu(emit(concat([a, b], 2)))

    graph = graph_of(network)
    y, window, a, b, joined, *_ = graph.values
    views = plan_memory(graph, {}).views
    assert views[window].root.same_as(y)
    assert (views[window].strides, views[window].offset) == ((48, 8, 1), 0)
    assert views[a].root.same_as(joined)
    assert views[b].root.same_as(joined)
    assert [views[part].offset for part in (a, b)] == [0, 3]
    assert views[a].strides == views[b].strides == (6 * 11, 11, 1)


def test_a_kernel_writes_over_what_is_not_read_any_more() -> None:
    def network(x: relax.Var, emit: Emit) -> relax.Expr:
        a = emit(nn.relu(x))
        b = emit(nn.relu(a))
        return add(emit(nn.relu(b)), b)

    graph = graph_of(network)
    a, b, c, total, *_ = graph.values
    plan = plan_memory(graph, {}, [a, b, c, total])
    assert lies_on(plan, b, a), "only b reads a"
    assert plan.views[a].root not in graph.parameters
    assert not lies_on(plan, c, b), "b is read after c"
    assert not lies_on(plan, total, c), "the result has a place of its own"


def test_pixels_of_a_dense_tensor_lie_one_after_another() -> None:
    """So a kernel on some channels of its operand does not write over that."""

    def network(x: relax.Var, emit: Emit) -> relax.Expr:
        a = emit(nn.relu(x))
        window = emit(strided_slice(a, [0, 1, 2], [0, 0, 0], [4, 6, 3]))
        return nn.relu(emit(nn.relu(emit(nn.relu(window)))))

    graph = graph_of(network)
    a, window, b, c, *_ = graph.values
    assert plan_memory(graph, {}, [b, c]).views[c].strides == (48, 8, 1)
    plan = plan_memory(graph, {}, [b, c], [b, c])
    assert not lies_on(plan, b, a)
    assert lies_on(plan, c, b), "it has as many channels"
    assert plan.views[c].strides == (18, 3, 1)
    with pytest.raises(ValueError, match="other channels between"):
        plan_memory(graph, {}, [], [window])


def test_memory_that_became_free_is_the_first_to_be_taken_again() -> None:
    """Four tensors in a chain want two places, and the small one after them a part of these."""

    def network(x: relax.Var, emit: Emit) -> relax.Expr:
        for _ in range(4):
            x = emit(nn.relu(x))
        return nn.relu(emit(strided_slice(x, [0, 1, 2], [0, 0, 0], [4, 6, 4])))

    graph = graph_of(network)
    first, second, third, fourth, *_ = graph.values
    plan = plan_memory(graph, {})
    assert plan.offsets[first] == plan.offsets[third] != plan.offsets[second]
    assert plan.offsets[second] == plan.offsets[fourth]
    assert plan.size == 2 * 4 * 6 * 8 * 4


def test_what_stays_lies_above_what_comes_and_goes() -> None:
    """A narrow tensor that is read last must not push the wide ones apart."""

    def network(x: relax.Var, emit: Emit) -> relax.Expr:
        narrow = emit(nn.relu(emit(strided_slice(x, [0, 1, 2], [0, 0, 0], [4, 6, 2]))))
        wide = x
        for _ in range(5):
            wide = emit(nn.relu(wide))
        return concat([emit(nn.relu(narrow)), emit(nn.relu(wide))], 2)

    graph = graph_of(network)
    plan = plan_memory(graph, {})
    narrow = next(var for var in plan.offsets if shape(var)[2] == 2)
    assert plan.offsets[narrow] == max(plan.offsets.values())


def test_a_tensor_needed_in_two_places_is_refused() -> None:
    def padded_twice(x: relax.Var, emit: Emit) -> relax.Expr:
        y = emit(nn.relu(x))
        return concat([emit(nn.relu(emit(pad(y)))), emit(nn.relu(emit(pad(y))))], 2)

    def joined_with_itself(x: relax.Var, emit: Emit) -> relax.Expr:
        y = emit(nn.relu(x))
        return nn.relu(emit(concat([y, y], 2)))

    def padded_and_joined(x: relax.Var, emit: Emit) -> relax.Expr:
        y = emit(nn.relu(x))
        one = emit(nn.relu(emit(pad(y))))
        two = emit(nn.relu(emit(concat([y, y], 2))))
        return concat([one, emit(pad(two))], 2)

    for network in (padded_twice, joined_with_itself, padded_and_joined):
        with pytest.raises(ValueError, match="two places"):
            plan_memory(graph_of(network), {})
