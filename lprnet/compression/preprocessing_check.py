"""Whether a network was trained on other pixels than it is given: its first batch norm tells.

A batch norm keeps the mean and the variance of each channel over the training images (Ioffe and
Szegedy, arXiv:1502.03167, section 3.1). On calibration images the first convolution has about the
same, if their pixels are normalised as in training; by another normalisation it has not.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from lprnet.model.lprnet import LPRNet
from lprnet.model.pixel_format import Preprocessing

MAX_IMAGES = 32
FITS = 0.5
"""Images differ by as much: the weights that ship, trained on rendered plates, have 0.35 on
photographs and 0.01 on rendered plates; with another normalisation 1 or more."""
CLEARLY = 2.5
"""So many times as far as the best other normalisation is the stated one where it is wrong: 3.7 and
more with networks made to read p / 255. Where it is right, at most 1.8 with photographs made darker
or brighter, and with noise."""
BYTE = 1 / 255
NORMALISATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "(p - 127.5) / 128": ((127.5,), (1 / 128,)),
    "p / 255": ((0.0,), (BYTE,)),
    "p / 255 less ImageNet's mean, by its deviation": (
        tuple(round(255 * mean, 4) for mean in (0.485, 0.456, 0.406)),
        tuple(round(BYTE / deviation, 8) for deviation in (0.229, 0.224, 0.225)),
    ),
    "p as it is": ((0.0,), (1.0,)),
}
"""What networks are trained on, in words: offset and scale of a pixel p, as in `Preprocessing`."""


def preprocessing_note(model: LPRNet, images: NDArray[np.uint8], checkpoint: Path) -> str | None:
    """A sentence where the first batch norm of `model` was clearly trained on other pixels than the
    architecture says; None where it was not, or where there is none.

    `model` is as `load_as_trained` gives it, of `checkpoint`; `images` are `(N, H, W, C)` uint8 BGR
    or grey.
    """
    first = model.architecture.backbone[0]
    if first.norm is None:
        return None
    stated, channels = model.architecture.preprocessing, images.shape[-1]
    pixels = torch.from_numpy(images[:MAX_IMAGES].transpose(0, 3, 1, 2).copy()).float()
    windows = F.unfold(pixels, first.kernel, stride=(first.row_stride, 1))
    windows = windows.transpose(0, 1).flatten(1).double()
    moments = windows.mean(dim=1), torch.cov(windows, correction=0)
    candidates = (stated, *_others(stated, channels))
    found = {one: _divergence(model, *moments, one) for one in candidates}
    best = min((one for one in found if one.order == stated.order), key=lambda one: found[one])
    swapped = min(found, key=lambda one: found[one])
    if found[best] > CLEARLY * found[swapped]:  # else red and blue hardly differ to this network
        best = swapped
    times = found[stated] / max(found[best], 1e-12)
    if found[stated] < FITS or times < CLEARLY:
        return None
    return (
        f"{checkpoint} seems to be trained on other pixels: what its first batch norm keeps of the "
        f"training images is {times:,.1f} times nearer to the calibration images with pixels p "
        f"read as {_words(best, channels)}; if it was, give {_flags(stated, best)}"
    )


def _others(stated: Preprocessing, channels: int) -> Iterator[Preprocessing]:
    """What networks are trained on beside `stated`, that read so many channels."""
    normalisations = (*NORMALISATIONS.values(), (stated.offset, stated.scale))
    for order in ("bgr", "rgb") if channels == 3 else (stated.order,):
        for offset, scale in normalisations:
            other = replace(stated, order=order, offset=offset, scale=scale)
            if other != stated and len(offset) <= channels:
                yield other


@torch.no_grad()
def _divergence(
    model: LPRNet, mean: Tensor, covariance: Tensor, preprocessing: Preprocessing
) -> float:
    """Of the first convolution's outputs from what its batch norm kept: a quarter of the divergence
    of Jeffreys between normal distributions, the median over the channels that were not constant in
    training.

    `mean (K,)` and `covariance (K, K)`, float64, are those of the convolution's windows of pixels
    from 0 to 255, BGR, K in OIHW order; its outputs are linear in them.
    """
    first = model.architecture.backbone[0]
    convolution, norm = (model.get_submodule(str(name)) for name in (first.name, first.norm))
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    offset, scale = (
        torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1)
        for values in (preprocessing.offset, preprocessing.scale)
    )
    scaled = convolution.weight.double() * scale
    bias = convolution.bias.double() - (scaled * offset).sum(dim=(1, 2, 3))
    of_pixels = (scaled.flip(1) if preprocessing.order == "rgb" else scaled).flatten(1)
    means = of_pixels @ mean + bias
    variances = ((of_pixels @ covariance) * of_pixels).sum(dim=1).clamp_min(1e-12)
    kept, kept_variances = norm.running_mean.double(), norm.running_var.double().clamp_min(1e-12)
    ratio = variances / kept_variances
    shift = (means - kept).square() * (1 / variances + 1 / kept_variances)
    alive = kept_variances > 1e-6 * kept_variances.max()
    return float(((ratio + 1 / ratio - 2 + shift) / 4)[alive].median())


def _words(preprocessing: Preprocessing, channels: int) -> str:
    names = {values: words for words, values in NORMALISATIONS.items()}
    words = names.get((preprocessing.offset, preprocessing.scale), "stated")
    return f"{words}, in the order {preprocessing.order}" if channels == 3 else words


def _flags(stated: Preprocessing, other: Preprocessing) -> str:
    """What to give to `build` for `other` instead of `stated`."""
    flags = [f"--channels {other.order}"] if other.order != stated.order else []
    if (other.offset, other.scale) != (stated.offset, stated.scale):
        said = {"preprocessing": {"offset": list(other.offset), "scale": list(other.scale)}}
        flags.append(f"--architecture FILE, in it {json.dumps(said)}")
    return " and ".join(flags)
