"""Where every tensor of the network lies: one statically planned arena.

Padding, slicing and concatenation move nothing. A padded tensor's storage holds the original in
its middle, a slice is a window into its source, the parts of a concatenation are written side by
side by their own kernels. A kernel that may write over what it reads does so where nobody else
needs that any more. What is left are roots, one allocation each, and what a kernel keeps for itself
while it runs; two of them share memory where their lifetimes do not meet.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
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


def plan_arena(
    graph: Dataflow, scratch: Mapping[relax.Var, int], in_place: Collection[relax.Var] = ()
) -> Arena:
    """Place every tensor of a function of kernels and placements, and `scratch`, the bytes that
    the kernel of a variable needs for itself. Kernels of `in_place` may write each element over the
    element of their first operand that has the same index.

    Raises `ValueError` if a tensor would have to lie in two places at once.
    """
    views = _views(graph, in_place)
    outside = {views[graph.result].root, *graph.parameters}
    lifetimes: dict[relax.Var, tuple[int, int]] = {}
    kernels: dict[relax.Var, _Tenant] = {}
    for step, (var, value) in enumerate(graph.values.items()):
        for touched in (var, *(a for a in arguments(value) if a in graph.users)):
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
        _end(offsets, tenants),
    )


def _place(tenants: Sequence[_Tenant]) -> list[int]:
    """Byte offsets: one after another as they come to life, each in the lowest gap between those it
    lives with, so that memory that has just become free is taken again while the caches hold it.

    Who stays for most of the program comes last and lies above the others; where the first one
    begins is tried out, for the smallest arena.
    """
    end = max((tenant.last for tenant in tenants), default=0)
    order = sorted(
        range(len(tenants)),
        key=lambda n: (tenants[n].last - tenants[n].first > end // 2, tenants[n].first),
    )
    starts = sorted({0, *(tenant.size for tenant in tenants)})
    plans = [_place_in(order, tenants, start) for start in starts]
    return min(plans, key=lambda offsets: _end(offsets, tenants))


def _place_in(order: Sequence[int], tenants: Sequence[_Tenant], start: int) -> list[int]:
    """Byte offsets, the first of `order` from `start` on."""
    offsets: dict[int, int] = {}
    for index in order:
        tenant = tenants[index]
        busy = sorted(
            (offset, offset + tenants[other].size)
            for other, offset in offsets.items()
            if tenants[other].first <= tenant.last and tenant.first <= tenants[other].last
        )
        offset = 0 if offsets else start
        for begin, end in busy:
            if offset + tenant.size <= begin:
                break
            offset = max(offset, end)
        offsets[index] = offset
    return [offsets[index] for index in range(len(tenants))]


def _end(offsets: Sequence[int], tenants: Sequence[_Tenant]) -> int:
    """Bytes up to the end of the last one."""
    ends = (offset + tenant.size for offset, tenant in zip(offsets, tenants, strict=True))
    return max(ends, default=0)


def is_constant_kernel(graph: Dataflow, value: relax.Expr) -> bool:
    """Whether `value` is a kernel that reads only constants: it runs once a call, and what it
    writes stays for all images.
    """
    return is_call(value, "call_tir") and not any(a in graph.users for a in arguments(value))


def _views(graph: Dataflow, in_place: Collection[relax.Var]) -> dict[relax.Var, View]:
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

    def root_of(var: relax.Var) -> relax.Var:
        while var in inside:
            var, _ = inside[var]
        return var

    for var in in_place:
        over = next(a for a in arguments(graph.values[var]) if a in graph.users)
        if var not in inside and _is_last_use(graph, var, root_of(over), root_of):
            put(var, over, (0,) * len(shape(var)))

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


def _is_last_use(
    graph: Dataflow, var: relax.Var, root: relax.Var, root_of: Callable[[relax.Var], relax.Var]
) -> bool:
    """Whether nobody but the kernel of `var` touches `root`, one of the arena's, from there on."""
    if root in graph.parameters or root_of(graph.result) in (var, root):
        return False
    steps = list(graph.values.items())
    later = steps[[one for one, _ in steps].index(var) + 1 :]
    touched = (t for one, value in later for t in (one, *arguments(value)) if t in graph.users)
    return all(root_of(one) != root for one in touched)


def whole_lines(size: int) -> int:
    """`size` rounded up to whole cache lines."""
    return -(-size // ALIGNMENT) * ALIGNMENT
