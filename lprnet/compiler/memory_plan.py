"""Places every tensor of the network in one statically planned arena.

Padding, slicing and concatenation copy nothing, because a tensor may be an alias, a view of another
tensor's storage:

    operator               alias
    y = pad(x, top, left)  x is the middle of y
    y = slice(x, begin)    y is a window of x
    y = concat(a, b)       a and b are side by side in y
    y = kernel(x)          y overwrites x, if the kernel may and nothing reads x later

    pad(x):  0 0 0 0 0     concat(a, b), channels innermost:  a a a b b   a a a b b   ...
             0 x x x 0
             0 x x x 0     A kernel writes its output through the strides of such a view, and the
             0 0 0 0 0     halo of zeros is written apart (`aot_function.py`).

A tensor that is no alias is a root and has an allocation of its own, and so has the scratch memory
of a kernel. Two allocations share memory if their live ranges do not overlap.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from tvm import relax

from lprnet.runtime.artifact import ALIGNMENT
from relay_passes.dataflow import Dataflow, arguments, is_call, itemsize, shape

Index = tuple[int, ...]


@dataclass(frozen=True)
class View:
    """A tensor of `shape` inside the storage of `root`."""

    root: relax.Var
    shape: Index
    strides: Index
    """Elements of `root` from one index to the next."""
    offset: int
    """Elements of `root` before the first."""


@dataclass(frozen=True)
class MemoryPlan:
    """The place of every tensor. Roots that are parameters or the result are outside the arena."""

    views: dict[relax.Var, View]
    offsets: dict[relax.Var, int]
    """Byte offset of each root in the arena."""
    scratch: dict[relax.Var, int]
    """Byte offset of the scratch memory of the kernel that computes a variable."""
    size: int
    """Bytes of the arena."""


@dataclass(frozen=True)
class _LiveRange:
    """An allocation of `size` bytes, live from step `first` to step `last`."""

    size: int
    first: int
    last: int

    def overlaps(self, other: "_LiveRange") -> bool:
        return self.first <= other.last and other.first <= self.last


def plan_memory(
    graph: Dataflow,
    scratch: Mapping[relax.Var, int],
    in_place: Collection[relax.Var] = (),
    dense: Collection[relax.Var] = (),
) -> MemoryPlan:
    """Place every tensor of a function of kernels, pads, slices and concatenations.

    `scratch` has the bytes of scratch memory of a variable's kernel. The kernels of `in_place` may
    write each element over the element of their first operand that has the same index. The pixels
    of the tensors in `dense` lie one after another. Raises `ValueError` if a tensor would be an
    alias of two others, or a dense one of one with more channels.
    """
    aliases = _Aliases(graph)
    for var in in_place:
        if var not in dense or aliases.as_many_channels(var, graph.values[var]):
            aliases.overwrite_operand(var)
    views = {var: aliases.view(var) for var in (*graph.parameters, *graph.values)}
    for var in dense:
        if views[var].strides[-2] != shape(var)[-1]:
            raise ValueError(f"{var} would have other channels between its pixels")
    outside = {views[graph.result].root, *graph.parameters}
    steps: dict[relax.Var, tuple[int, int]] = {}
    kernels: dict[relax.Var, _LiveRange] = {}
    for step, (var, value) in enumerate(graph.values.items()):
        for touched in _touched(graph, var, value):
            root = views[touched].root
            first, _ = steps.get(root, (step, step))
            steps[root] = (first, step)
        if var in scratch:
            kernels[var] = _LiveRange(whole_lines(scratch[var]), step, step)
    for var, value in graph.values.items():
        if is_constant_kernel(graph, value):
            steps[views[var].root] = (0, len(graph.values))

    roots = {
        root: _LiveRange(whole_lines(prod(shape(root)) * itemsize(root)), first, last)
        for root, (first, last) in steps.items()
        if root not in outside
    }
    ranges = [*roots.values(), *kernels.values()]
    offsets = _place(ranges)
    return MemoryPlan(
        views,
        dict(zip(roots, offsets[: len(roots)], strict=True)),
        dict(zip(kernels, offsets[len(roots) :], strict=True)),
        _end(offsets, ranges),
    )


def is_constant_kernel(graph: Dataflow, value: relax.Expr) -> bool:
    """Whether `value` is a kernel that reads only constants. It runs once a call, and its output
    stays for all images.
    """
    return is_call(value, "call_tir") and not any(a in graph.users for a in arguments(value))


def whole_lines(size: int) -> int:
    """`size` rounded up to whole cache lines."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def _touched(graph: Dataflow, var: relax.Var, value: relax.Expr) -> list[relax.Var]:
    """The variables that the binding of `var` writes or reads."""
    return [var, *(a for a in arguments(value) if a in graph.users)]


class _Aliases:
    """`alias_of[x] = (y, start)`: element 0 of tensor x is element `start` of tensor y."""

    def __init__(self, graph: Dataflow) -> None:
        self.graph = graph
        self.alias_of: dict[relax.Var, tuple[relax.Var, Index]] = {}
        for var, value in graph.values.items():
            if is_call(value, "nn.pad"):
                self.alias(value.args[0], var, tuple(int(n) for n in value.attrs.pad_width[::2]))
            elif is_call(value, "strided_slice"):
                self.alias(var, value.args[0], tuple(int(n) for n in value.args[2].fields))
            elif is_call(value, "concat"):
                first = 0
                for part in value.args[0].fields:
                    self.alias(part, var, (0, 0, first))
                    first += shape(part)[2]
            elif isinstance(value, relax.Var):
                self.alias(var, value, (0,) * len(shape(var)))

    def alias(self, part: relax.Var, whole: relax.Var, start: Index) -> None:
        """Make `part` an alias of `whole` from `start` on."""
        if part in self.alias_of:
            raise ValueError(f"{part} would have to lie in two places at once")
        self.alias_of[part] = (whole, start)

    def root(self, var: relax.Var) -> relax.Var:
        """The tensor whose storage holds `var`."""
        while var in self.alias_of:
            var, _ = self.alias_of[var]
        return var

    def view(self, var: relax.Var) -> View:
        """`var` inside its root."""
        root = var
        start: Index = (0,) * len(shape(var))
        while root in self.alias_of:
            root, step = self.alias_of[root]
            start = tuple(a + b for a, b in zip(start, step, strict=True))
        strides = tuple(prod(shape(root)[axis + 1 :]) for axis in range(len(shape(root))))
        offset = sum(a * b for a, b in zip(start, strides, strict=True))
        return View(root, shape(var), strides, offset)

    def as_many_channels(self, var: relax.Var, value: relax.Expr) -> bool:
        """Whether the storage of the first operand has the channels of `var`, and no more."""
        operand = next(a for a in arguments(value) if a in self.graph.users)
        return shape(self.root(operand))[-1] == shape(var)[-1]

    def overwrite_operand(self, var: relax.Var) -> None:
        """Let the kernel of `var` overwrite its first operand if no later step touches that one,
        and neither is outside the arena.
        """
        overwritten = next(a for a in arguments(self.graph.values[var]) if a in self.graph.users)
        root, result = self.root(overwritten), self.root(self.graph.result)
        if var in self.alias_of or root in self.graph.parameters or result in (var, root):
            return
        bindings = list(self.graph.values.items())
        later = bindings[list(self.graph.values).index(var) + 1 :]
        if any(
            self.root(touched) == root
            for binding in later
            for touched in _touched(self.graph, *binding)
        ):
            return
        self.alias(var, overwritten, (0,) * len(shape(var)))


def _place(ranges: Sequence[_LiveRange]) -> list[int]:
    """Byte offsets of allocations, first fit in the order in which they become live.

    So memory that has just become free is used again while the caches hold it. Allocations that are
    live for more than half of the program are placed last, above the others. Several offsets of the
    first allocation are tried, and the smallest arena is taken.
    """
    end = max((one.last for one in ranges), default=0)
    order = sorted(
        range(len(ranges)),
        key=lambda n: (ranges[n].last - ranges[n].first > end // 2, ranges[n].first),
    )
    starts = sorted({0, *(one.size for one in ranges)})
    plans = [_first_fit(order, ranges, start) for start in starts]
    return min(plans, key=lambda offsets: _end(offsets, ranges))


def _first_fit(order: Sequence[int], ranges: Sequence[_LiveRange], start: int) -> list[int]:
    """Byte offsets: the first of `order` at `start`, each other one in the lowest gap between those
    whose live ranges overlap its own.
    """
    offsets: dict[int, int] = {}
    for index in order:
        placed = ranges[index]
        occupied = sorted(
            (offset, offset + ranges[other].size)
            for other, offset in offsets.items()
            if placed.overlaps(ranges[other])
        )
        offset = 0 if offsets else start
        for begin, end in occupied:
            if offset + placed.size <= begin:
                break
            offset = max(offset, end)
        offsets[index] = offset
    return [offsets[index] for index in range(len(ranges))]


def _end(offsets: Sequence[int], ranges: Sequence[_LiveRange]) -> int:
    """The byte after the last allocation."""
    ends = (offset + one.size for offset, one in zip(offsets, ranges, strict=True))
    return max(ends, default=0)
