"""What average pools have in common: how much they read, and sums of bytes over windows."""

from tvm import te

Pair = tuple[int, int]


def read_extents(outputs: Pair, kernel: Pair, stride: Pair) -> Pair:
    """Rows and columns that windows of `kernel`, `stride` apart, cover for so many `outputs`."""
    rows, columns = (
        (extent - 1) * step + size
        for extent, step, size in zip(outputs, stride, kernel, strict=True)
    )
    return rows, columns


def byte_window_sums(
    shape: tuple[int, int, int], kernel: Pair, stride: Pair
) -> tuple[te.Tensor, te.Tensor]:
    """uint8 `data (rows, columns, channels)` and the int32 `sums` of `shape`, `(height, width,
    channels)`, over its windows.
    """
    height, width, channels = shape
    extents = (*read_extents((height, width), kernel, stride), channels)
    data = te.placeholder(extents, dtype="uint8", name="data")
    i, j = te.reduce_axis((0, kernel[0]), "i"), te.reduce_axis((0, kernel[1]), "j")
    sums = te.compute(
        shape,
        lambda h, w, c: te.sum(
            data[h * stride[0] + i, w * stride[1] + j, c].astype("int32"), [i, j]
        ),
        name="sums",
    )
    return data, sums
