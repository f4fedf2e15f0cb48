"""Where every tensor of the network lies: one statically planned arena.

Padding, slicing and concatenation move nothing. A padded tensor's storage holds the original in
its middle, a slice is a window into its source, the parts of a concatenation are written side by
side by their own kernels. What is left are roots, one allocation each, and what a kernel keeps for
itself while it runs; two of them share memory where their lifetimes do not meet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from tvm import relax

from relay_passes.dataflow import Dataflow, arguments, is_call, itemsize, shape

ALIGNMENT = 64
"""Bytes; one cache line and one AVX-512 vector."""


@dataclass(frozen=True)
class View:
    """A tensor of `shape` inside the storage of `root`."""

    root: relax.Var
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """Elements of `root` from one index to the next."""
    offset: int
    """Elements of `root` before the first."""


@dataclass(frozen=True)
class Arena:
    """A memory plan. Roots that are parameters or the result have no place in the arena."""

    views: dict[relax.Var, View]
    offsets: dict[relax.Var, int]
    """Byte offset of each root in the arena."""
    scratch: dict[relax.Var, int]
    """Byte offset of what the kernel that computes a variable keeps for itself."""
    size: int
    """Bytes in all."""


@dataclass(frozen=True)
class _Tenant:
    """Bytes of memory from a first to a last step."""

    size: int
    first: int
    last: int


def plan_arena(graph: Dataflow, scratch: Mapping[relax.Var, int]) -> Arena:
    """Place every tensor of a function of kernels and placements, and `scratch`, the bytes that
    the kernel of a variable needs for itself.

    Raises `ValueError` if a tensor would have to lie in two places at once.
    """
    views = _views(graph)
    outside = {views[graph.result].root, *graph.parameters}
    lifetimes: dict[relax.Var, tuple[int, int]] = {}
    kernels: dict[relax.Var, _Tenant] = {}
    for step, (var, value) in enumerate(graph.values.items()):
        for touched in (var, *(a for a in arguments(value) if a in graph.readers)):
            root = views[touched].root
            first, _ = lifetimes.get(root, (step, step))
            lifetimes[root] = (first, step)
        if var in scratch:
            kernels[var] = _Tenant(whole_lines(scratch[var]), step, step)
    for var, value in graph.values.items():
        if is_constant_kernel(graph, value):
            lifetimes[views[var].root] = (0, len(graph.values))

    roots = {
        root: _Tenant(whole_lines(prod(shape(root)) * itemsize(root)), first, last)
        for root, (first, last) in lifetimes.items()
        if root not in outside
    }
    tenants = [*roots.values(), *kernels.values()]
    offsets = _place(tenants)
    return Arena(
        views,
        dict(zip(roots, offsets[: len(roots)], strict=True)),
        dict(zip(kernels, offsets[len(roots) :], strict=True)),
        max((at + tenant.size for at, tenant in zip(offsets, tenants, strict=True)), default=0),
    )


def _place(tenants: Sequence[_Tenant]) -> list[int]:
    """Byte offsets, the largest first, each in the lowest gap between those it lives with."""
    offsets: dict[int, int] = {}
    for index in sorted(range(len(tenants)), key=lambda index: -tenants[index].size):
        tenant = tenants[index]
        busy = sorted(
            (offset, offset + tenants[other].size)
            for other, offset in offsets.items()
            if tenants[other].first <= tenant.last and tenant.first <= tenants[other].last
        )
        offset = 0
        for start, end in busy:
            if offset + tenant.size <= start:
                break
            offset = max(offset, end)
        offsets[index] = offset
    return [offsets[index] for index in range(len(tenants))]


def is_constant_kernel(graph: Dataflow, value: relax.Expr) -> bool:
    """Whether `value` is a kernel that reads only constants: it runs once a call, and what it
    writes stays for all images.
    """
    return is_call(value, "call_tir") and not any(a in graph.readers for a in arguments(value))


def _views(graph: Dataflow) -> dict[relax.Var, View]:
    """Each tensor's place, from the placements between them."""
    inside: dict[relax.Var, tuple[relax.Var, tuple[int, ...]]] = {}

    def put(part: relax.Var, whole: relax.Var, start: tuple[int, ...]) -> None:
        if part in inside:
            raise ValueError(f"{part} would have to lie in two places at once")
        inside[part] = (whole, start)

    for var, value in graph.values.items():
        if is_call(value, "nn.pad"):
            put(value.args[0], var, tuple(int(n) for n in value.attrs.pad_width[::2]))
        elif is_call(value, "strided_slice"):
            put(var, value.args[0], tuple(int(field) for field in value.args[2].fields))
        elif is_call(value, "concat"):
            first = 0
            for part in value.args[0].fields:
                put(part, var, (0, 0, first))
                first += shape(part)[2]
        elif isinstance(value, relax.Var):
            put(var, value, (0,) * len(shape(var)))

    views: dict[relax.Var, View] = {}
    for var in (*graph.parameters, *graph.values):
        root = var
        start: tuple[int, ...] = (0,) * len(shape(var))
        while root in inside:
            root, step = inside[root]
            start = tuple(a + b for a, b in zip(start, step, strict=True))
        strides = tuple(prod(shape(root)[axis + 1 :]) for axis in range(len(shape(root))))
        offset = sum(a * b for a, b in zip(start, strides, strict=True))
        views[var] = View(root, shape(var), strides, offset)
    return views


def whole_lines(size: int) -> int:
    """`size` rounded up to whole cache lines."""
    return -(-size // ALIGNMENT) * ALIGNMENT
