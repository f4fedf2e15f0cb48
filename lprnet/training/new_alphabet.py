"""A trained network made ready to learn another alphabet, or images of another size."""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from lprnet.model.architecture import CONTAINER, Architecture
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import resized
from lprnet.runtime.alphabet import Alphabet


@torch.no_grad()
def with_alphabet(model: LPRNet, alphabet: Alphabet, size: tuple[int, int] | None) -> LPRNet:
    """A network that reads `alphabet`, in images of `size` (width, height; None: as before).

    The backbone is kept. The head, which is the last convolution and the container, is new but for
    the classes that both alphabets have: a digit looks alike in most countries. Raises `ValueError`
    where `size` is too small.
    """
    old = model.architecture
    new = replace(old, alphabet=alphabet)
    last = old.backbone[-1]
    if last.out_channels == old.classes:
        backbone = (*old.backbone[:-1], replace(last, out_channels=alphabet.classes))
        new = replace(new, backbone=backbone)
    if size is not None and size != (old.width, old.height):
        new = resized(new, size[1], size[0])
    if (alphabet.symbols, alphabet.blank) == (old.alphabet.symbols, old.alphabet.blank):
        known = [(row, row) for row in range(alphabet.classes)]
    else:
        known = _shared(old.alphabet, alphabet)
    return _with_head(model, new, known)


def _shared(old: Alphabet, new: Alphabet) -> list[tuple[int, int]]:
    """The classes of `new` that `old` has, each with its number there; the blank is one of them."""
    shared = [
        (new.index[symbol], old.index[symbol])
        for symbol in new.characters
        if symbol in old.characters
    ]
    return [*shared, (new.blank, old.blank)]


def _with_head(model: LPRNet, new: Architecture, known: list[tuple[int, int]]) -> LPRNet:
    """`model` as `new`, the known classes at their new numbers, and the others as random as the
    weights of a network that learns from the start.
    """
    changed, state = LPRNet(new), model.state_dict()
    last = new.backbone[-1]
    classes = last.out_channels == new.classes
    rows, sources = (torch.tensor(side) for side in zip(*known, strict=True))
    for name, tensor in changed.state_dict().items():
        before = state[name]
        head = classes and name.rpartition(".")[0] in (last.name, last.norm)
        if head and tensor.ndim:
            if tensor.ndim == 4:
                _fill(tensor)
            tensor[rows] = before[sources]
        elif name == f"{CONTAINER}.weight":
            _fill(tensor)
            _copy_container(tensor, before, new, classes, rows, sources)
        elif name == f"{CONTAINER}.bias":
            tensor.fill_(float(before[sources].mean()))
            tensor[rows] = before[sources]
        else:
            tensor.copy_(before)
    return changed.eval()


def _fill(weight: Tensor) -> None:
    nn.init.normal_(weight, std=math.sqrt(2 / weight[0].numel()))


def _copy_container(
    weight: Tensor, before: Tensor, new: Architecture, classes: bool, rows: Tensor, sources: Tensor
) -> None:
    """What known classes make of the contexts: of the last one, where its channels are classes, of
    those of known classes alone.
    """
    *others, last = new.context_columns()
    shared = others[-1].stop if others else 0
    weight[rows, :shared] = before[sources, :shared]
    if classes:
        weight[rows[:, None], shared + rows] = before[sources[:, None], shared + sources]
    else:
        weight[rows, last] = before[sources, last]
