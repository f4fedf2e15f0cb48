"""A kernel is recognised by its structure: ours exactly, another never."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import te, tirx
from tvm.script import tirx as T

from schedules.workloads.float import AveragePool, Conv2d, MaxPool
from schedules.workloads.integer import (
    DequantizedAveragePool,
    DequantizeWeight,
    GroupChannels,
    QuantizedConv2d,
)
from schedules.workloads.lookup import LookUp
from schedules.workloads.match import match
from schedules.workloads.normalisation import Divide, MeanSquare, Normalise
from schedules.workloads.weights_only import WeightOnlyConv2d
from schedules.workloads.workload import Workload

extents = st.integers(1, 40)
kernels = st.integers(1, 4)
pairs = st.tuples(st.integers(1, 10), st.integers(1, 10))


def told_by_shapes(pool: AveragePool | DequantizedAveragePool) -> bool:
    """Whether windows leave no gaps, so that kernel and stride follow from the shapes."""
    return all(stride <= kernel for kernel, stride in zip(pool.kernel, pool.stride, strict=True))


workloads: st.SearchStrategy[Workload] = st.one_of(
    st.builds(Conv2d, extents, extents, extents, kernels, kernels, extents, st.just(16)),
    st.builds(
        Conv2d, extents, extents, extents, kernels, kernels, extents, st.just(8), st.just(False)
    ),
    st.builds(
        QuantizedConv2d,
        *(extents, extents, st.integers(1, 9).map(lambda groups: 4 * groups)),
        *(kernels, kernels, extents, st.just(16), st.sampled_from([127, 255]), st.booleans()),
    ),
    st.builds(
        MaxPool,
        *(extents, st.integers(2, 40), st.integers(1, 3), extents),
        st.sampled_from(["float32", "uint8"]),
    ),
    st.builds(AveragePool, st.integers(2, 9), st.integers(2, 9), extents, pairs, pairs).filter(
        told_by_shapes
    ),
    st.builds(
        DequantizedAveragePool,
        *(st.integers(2, 9), st.integers(2, 9), extents, pairs, pairs),
        st.floats(1e-6, 1e3),
    ).filter(told_by_shapes),
    st.builds(Normalise, extents, extents, extents, st.floats(-1e3, 1e3), st.floats(1e-6, 1e3)),
    st.builds(GroupChannels, extents, extents, extents),
    st.builds(LookUp, extents, extents, extents),
    st.builds(
        MeanSquare, extents, extents, st.integers(1, 9).map(lambda n: 8 * n), st.floats(1e-6, 1e3)
    ),
    st.builds(Divide, extents, extents, extents),
    st.builds(WeightOnlyConv2d, extents, extents, extents, kernels, kernels, extents, st.just(16)),
    st.builds(DequantizeWeight, extents, kernels, kernels, extents, st.sampled_from([8, 48])),
)


@settings(max_examples=150)
@given(workloads)
def test_every_workload_is_found_again(workload: Workload) -> None:
    assert match(workload.prim_func()) == workload


@settings(max_examples=10)
@given(workloads)
def test_the_name_does_not_matter(workload: Workload) -> None:
    renamed = workload.prim_func().with_attr("global_symbol", "another_name")
    assert match(renamed) == workload


SHAPE = (4, 6, 8)


def elementwise(value: Callable[[tirx.Expr], tirx.Expr], dtype: str = "float32") -> tirx.PrimFunc:
    data = te.placeholder(SHAPE, dtype, "data")
    out = te.compute(SHAPE, lambda *i: value(data[i]), "out")
    return te.create_prim_func([data, out])


def minimum_pool() -> tirx.PrimFunc:
    data = te.placeholder((6, 8, 8), name="data")
    i, j = te.reduce_axis((0, 3), "i"), te.reduce_axis((0, 3), "j")
    out = te.compute(SHAPE, lambda h, w, c: te.min(data[h + i, w + j, c], [i, j]), "out")
    return te.create_prim_func([data, out])


def matmul() -> tirx.PrimFunc:
    a, b = te.placeholder((4, 8), name="a"), te.placeholder((8, 6), name="b")
    k = te.reduce_axis((0, 8), "k")
    out = te.compute((4, 6), lambda i, j: te.sum(a[i, k] * b[k, j], k), "out")
    return te.create_prim_func([a, b, out])


def leaky_convolution() -> tirx.PrimFunc:
    """A `Conv2d` but for a factor on what is below zero."""
    data, bias = te.placeholder((4, 6, 3), name="data"), te.placeholder((8,), name="bias")
    weight = te.placeholder((1, 1, 1, 3, 8), name="weight")
    c = te.reduce_axis((0, 3), "c")
    acc = te.compute(
        (1, 4, 6, 8),
        lambda o, h, w, v: te.sum(data[h, w, c] * weight[o, 0, 0, c, v], c),
        name="acc",
    )

    def leak(h: tirx.Var, w: tirx.Var, o: tirx.Var) -> tirx.Expr:
        value = acc[o // 8, h, w, o % 8] + bias[o]
        return te.max(value, value * tirx.const(0.1, "float32"))

    out = te.compute((4, 6, 8), leak, name="out")
    function = te.create_prim_func([data, weight, bias, out])
    return function.with_attr("out_channels", 8)


def symbolic() -> tirx.PrimFunc:
    n = tirx.Var("n", "int64")
    data = te.placeholder((n, 6, 8), name="data")
    return te.create_prim_func([data, te.compute((n, 6, 8), lambda *i: data[i] * 2.0, "out")])


@T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
def with_a_scalar(n: T.int32, a: T.handle) -> None:
    A = T.match_buffer(a, (4, 6, 8))
    for i in range(4):
        with T.sblock("out"):
            v = T.axis.spatial(4, i)
            A[v, 0, 0] = T.cast(n, "float32")


FOREIGN = {
    "doubling, shaped like normalise": elementwise(lambda x: x * 2.0),
    "bytes doubled": elementwise(lambda x: x + x, "uint8"),
    "minimum pool": minimum_pool(),
    "matrix product": matmul(),
    "leaky convolution": leaky_convolution(),
    "unknown batch": symbolic(),
    "scalar parameter": with_a_scalar,
    "convolution without its number of channels": Conv2d(2, 3, 4, 1, 1, 8, 8)
    .prim_func()
    .without_attr("out_channels"),
    "integer convolution without its attributes": QuantizedConv2d(2, 3, 4, 1, 1, 8, 8, 255)
    .prim_func()
    .without_attr("levels"),
    "a mean square that claims another scale": MeanSquare(4, 6, 8, 0.5)
    .prim_func()
    .with_attr("scale", 0.25),
    "no attributes at all": elementwise(lambda x: x + 1.0)
    .without_attr("global_symbol")
    .without_attr("tirx.noalias")
    .without_attr("s_tir"),
}


@pytest.mark.parametrize("function", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_function_is_none_of_ours(function: tirx.PrimFunc) -> None:
    assert match(function) is None
