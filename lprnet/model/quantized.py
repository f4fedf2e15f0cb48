"""A quantized LPRNet as data: integers, scales, and what each layer lost."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lprnet.model.lprnet import LPRNet
from lprnet.model.preprocessing import OFFSET, SCALE

IMAGE_SCALE, IMAGE_ZERO_POINT = SCALE, OFFSET
"""The network reads `IMAGE_SCALE * (pixel - IMAGE_ZERO_POINT)`."""
PIXEL_MAX = 255
"""The largest integer that a convolution can read: a pixel. No activation is larger."""
SCALE_OF_ZEROS = 1.0
"""The scale of values that are all zero: any would do, and none may be zero."""
MAX_BIAS = 2**30
"""Of an accumulator's int32; the products of no LPRNet layer reach the other half."""


@dataclass(frozen=True)
class QuantizedWeight:
    """A convolution's weight as `scale * values`."""

    values: NDArray[np.int8]
    """OIHW."""
    scale: NDArray[np.float32]
    """(O,), positive."""
    bias: NDArray[np.float32]
    """(O,), real values, corrected for what rounding shifts."""

    def tensors(self) -> tuple[Tensor, Tensor]:
        """The weight OIHW and the bias (O,) that they stand for, float32."""
        weight = self.values * self.scale[:, None, None, None]
        return torch.from_numpy(weight), torch.tensor(self.bias)


@dataclass(frozen=True)
class QuantizedLayer:
    """A convolution of the integer network, its ReLU included: the scales around its integers."""

    weight: QuantizedWeight
    input_scale: float
    input_zero_point: float
    """Scale and zero point of the integers it reads; where its producer emits others, these are
    rounded again in between."""
    output_scale: float
    output_qmax: int
    """The largest integer it emits: 127 or 255."""
    sqnr: float | None
    """Signal to quantization noise at its output, all noise from before included, in dB; None where
    no float network is known."""

    @property
    def bias(self) -> NDArray[np.int32]:
        """(O,), in units of the accumulator, the input's zero point included."""
        sums = self.weight.values.astype(np.float64).sum(axis=(1, 2, 3))
        scale = self.input_scale * self.weight.scale.astype(np.float64)
        real = self.weight.bias.astype(np.float64) / scale
        bias: NDArray[np.int32] = np.rint(real - self.input_zero_point * sums).astype(np.int32)
        return bias

    def tensors(self) -> tuple[Tensor, Tensor]:
        """The weight OIHW and the bias (O,) that the integers stand for, float32.

        A zero point of the input goes into the bias later, as a sum that float32 rounds by up to
        some hundredths of the accumulator's unit. So the bias is that of its integer: near a half,
        where the real one may lie, the sum would become another integer.
        """
        weight, bias = self.weight.tensors()
        if self.input_zero_point:
            scale = self.input_scale * self.weight.scale.astype(np.float64)
            sums = self.weight.values.astype(np.float64).sum(axis=(1, 2, 3))
            whole = torch.from_numpy((self.bias + self.input_zero_point * sums) * scale).float()
            used = torch.from_numpy(self.weight.values.any(axis=(1, 2, 3)))
            bias = torch.where(used, whole, bias)
        return weight, bias

    @property
    def multiplier(self) -> NDArray[np.float32]:
        """(O,), from the accumulator to the output's integers."""
        scale = self.input_scale * self.weight.scale.astype(np.float64)
        multiplier: NDArray[np.float32] = (scale / self.output_scale).astype(np.float32)
        return multiplier


@dataclass(frozen=True)
class QuantizedLPRNet:
    """An LPRNet in integers, by convolution name, in LPRNet's full shapes; the container computes
    in float32.
    """

    layers: dict[str, QuantizedLayer]
    container: QuantizedWeight | None
    """None where its weights are float32, those of `model`."""
    model: LPRNet
    """The float network that the integers stand for."""
