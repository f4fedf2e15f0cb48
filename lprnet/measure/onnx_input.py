"""What an ONNX file reads and what its logits mean, for a runtime that takes the file as it is."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from lprnet.model.alphabets import alphabet_for
from lprnet.model.checkpoint import Stated, described
from lprnet.model.checkpoint_content import METADATA, check_size
from lprnet.model.pixel_format import Preprocessing
from lprnet.model.preprocessing import PIXELS
from lprnet.runtime.alphabet import Alphabet
from lprnet.runtime.image_format import ImageFormat
from lprnet.support.errors import UserError


@dataclass(frozen=True)
class OnnxInput:
    """Of a network that is run as its file has it: nothing is folded into its weights."""

    image_format: ImageFormat
    alphabet: Alphabet
    preprocessing: Preprocessing

    def tensor(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """`(N, H, W, C)` uint8, BGR or grey, to `(N, C, H, W)` float32, contiguous."""
        ordered = images[..., ::-1] if self.preprocessing.order == "rgb" else images
        offset, scale = (
            np.array(values, np.float32)
            for values in (self.preprocessing.offset, self.preprocessing.scale)
        )
        read = (ordered.astype(np.float32) - offset) * scale
        return np.ascontiguousarray(read.transpose(0, 3, 1, 2))


def read_input(path: Path, stated: Stated | None) -> OnnxInput:
    """Of the file `path`: size and classes as its graph says, what its pixels are as a file of
    `build --onnx` says, and the rest as in `stated`, then as in the file's metadata, and as in the
    published network otherwise.

    Raises `UserError` for what is no ONNX file of an image and its logits, and where `stated`
    contradicts it.
    """
    check_size(path)
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        tensors = {tensor.name for tensor in model.graph.initializer}
        (image,) = (_extents(one) for one in model.graph.input if one.name not in tensors)
        (logits,) = map(_extents, model.graph.output)
    except Exception as error:  # a damaged file can fail in any way its parser knows
        raise UserError(
            f"{path} is no ONNX file of one image and its logits; give that of an LPRNet"
        ) from error
    stated = stated or Stated()
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    base, alphabet = described(path, stated, metadata.get(METADATA), has_pools=True)
    size = base.width, base.height
    _, channels, height, width = image if len(image) == 4 else [None] * 4
    if stated.size is not None and (width or size[0], height or size[1]) != size:
        raise UserError(f"{path} reads {width}x{height} images; leave out --size")
    preprocessing = base.preprocessing
    if f"images: {PIXELS}" in model.doc_string:
        preprocessing = replace(preprocessing, offset=(0.0,), scale=(1.0,))
    try:
        image_format = ImageFormat(
            height or size[1],
            width or size[0],
            channels or base.channels,
            preprocessing.fit,
            preprocessing.border,
        )
        preprocessing.check_channels(image_format.channels)
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    classes = logits[1] if len(logits) == 3 else None
    if classes is None:
        return OnnxInput(image_format, alphabet or base.alphabet, preprocessing)
    return OnnxInput(image_format, alphabet_for(classes, alphabet, path), preprocessing)


def _extents(value: onnx.ValueInfoProto) -> list[int | None]:
    """The shape of `value`; None for an extent that is left open."""
    return [extent.dim_value or None for extent in value.type.tensor_type.shape.dim]
