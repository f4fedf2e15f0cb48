"""What a PrimFunc shows of the workload that it may compute: buffer shapes, types, attributes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.tirx.buffer import is_buffer_var

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Signature:
    """The buffers of a PrimFunc, in order, and its attributes."""

    shapes: tuple[Shape, ...]
    dtypes: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def ranks(self) -> list[int]:
        return [len(shape) for shape in self.shapes]

    def fits(self, ranks: list[int], *attributes: str) -> bool:
        """Whether the buffers have `ranks` and the function has `attributes`."""
        return self.ranks == ranks and all(name in self.attributes for name in attributes)


def signature_of(function: tirx.PrimFunc) -> Signature | None:
    """The signature of `function`; None if a parameter is a scalar or an extent is a variable."""
    if not all(is_buffer_var(parameter) for parameter in function.params):
        return None
    shapes = [tuple(buffer.shape) for buffer in function.params]
    if not all(isinstance(extent, tirx.IntImm) for shape in shapes for extent in shape):
        return None
    return Signature(
        tuple(tuple(int(extent) for extent in shape) for shape in shapes),
        tuple(str(buffer.dtype) for buffer in function.params),
        function.attrs or {},
    )


def average_windows(data: Shape, out: Shape) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Kernel and stride of every average pool from an HWC shape to another."""
    for row_window in _windows(data[0], out[0]):
        for column_window in _windows(data[1], out[1]):
            kernel, stride = zip(row_window, column_window, strict=True)
            yield kernel, stride


def _windows(extent: int, outputs: int) -> Iterator[tuple[int, int]]:
    """The (kernel, stride) with stride <= kernel that turn `extent` into exactly `outputs`."""
    if outputs == 1:
        yield extent, extent
        return
    for stride in range(1, extent // outputs + 1):
        kernel = extent - (outputs - 1) * stride
        if kernel >= stride:
            yield kernel, stride
