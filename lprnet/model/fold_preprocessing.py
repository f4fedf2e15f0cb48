"""A network's own normalisation of pixels, folded into its first convolution.

`conv((p - offset) * scale)` in the network's order of channels =>
`conv'((p - 127.5) / 128)` in BGR, with other weights and biases and the same logits. Exact but for
one rounding of each weight, since the first convolution has no padding. So whatever a network was
trained on, the compiler and the runtime know one normalisation.
"""

from dataclasses import replace

import torch

from lprnet.model.conv_graph import weight_and_bias
from lprnet.model.lprnet import LPRNet
from lprnet.model.pixel_format import Preprocessing

OWN = Preprocessing()


@torch.no_grad()
def fold_preprocessing(model: LPRNet) -> LPRNet:
    """`model`, changed in place: it reads BGR by `(p - 127.5) / 128`, and its architecture says so.

    Raises `ValueError` where its first convolution is padded and the normalisation another one, and
    as `Preprocessing.check_channels`.
    """
    architecture = model.architecture
    stated = architecture.preprocessing
    own = replace(stated, order=OWN.order, offset=OWN.offset, scale=OWN.scale)
    if stated == own:
        return model
    stated.check_channels(architecture.channels)
    first = architecture.backbone[0]
    if any(first.padding):
        raise ValueError(
            f"it normalises pixels by {stated.offset} and {stated.scale}, and its {first.name} is "
            "padded, for which only (p - 127.5) / 128 is possible"
        )
    weight, bias = weight_and_bias(model, first.name)
    offset, scale = (
        torch.tensor(values, dtype=torch.float64).expand(architecture.channels)
        for values in (stated.offset, stated.scale)
    )
    exact = weight.double()
    shift = (exact * ((OWN.offset[0] - offset) * scale)[:, None, None]).sum(dim=(1, 2, 3))
    exact = exact * (scale / OWN.scale[0])[:, None, None]
    weight.copy_(exact.flip(1) if stated.order == "rgb" else exact)
    bias.copy_(bias.double() + shift)
    model.architecture = replace(architecture, preprocessing=own)
    return model
