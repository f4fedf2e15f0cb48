"""The convolutions of a model by their names in its state dict, and their tensors."""

from torch import Tensor, nn

from lprnet.model.lprnet import LPRNet
from lprnet.support.errors import UserError


def convolution(model: LPRNet, name: str) -> nn.Conv2d:
    """The convolution called `name` in `model`'s state dict."""
    module = model.get_submodule(name)
    assert isinstance(module, nn.Conv2d)
    return module


def weight_and_bias(model: LPRNet, name: str) -> tuple[Tensor, Tensor]:
    """The OIHW weight and the `(O,)` bias of the convolution called `name`, not copied."""
    conv = convolution(model, name)
    assert conv.bias is not None
    return conv.weight, conv.bias


def check_finite(model: LPRNet) -> None:
    """Raise `UserError` if a learnt tensor or a running statistic holds NaN or infinity."""
    for name, tensor in model.state_dict().items():
        if not bool(tensor.isfinite().all()):
            raise UserError(f"the model's {name} holds NaN or infinity; train or copy it again")
