"""The architecture that a state dict's tensor shapes say, and which of them contradict it.

Widths, kernels, classes and the image's channels are in the shapes. Image size, pools and contexts
leave no trace in them: those are taken from an architecture that is given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lprnet.model.architecture import CONTAINER, Architecture, Conv, Pair
from lprnet.runtime.alphabet import Alphabet

Shape = tuple[int, ...]

OPTIONAL = ".num_batches_tracked"
"""BatchNorm's step counter; inference never reads it and many exporters drop it."""
NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")


def tensor_shapes(architecture: Architecture) -> dict[str, Shape]:
    """Name and shape of every tensor that a state dict of `architecture` must have."""
    shapes: dict[str, Shape] = {}
    for conv in architecture.backbone:
        shapes[f"{conv.name}.weight"] = (
            conv.out_channels,
            architecture.in_channels(conv),
            *conv.kernel,
        )
        shapes[f"{conv.name}.bias"] = (conv.out_channels,)
        if conv.norm is not None:
            shapes |= {f"{conv.norm}.{name}": (conv.out_channels,) for name in NORM_TENSORS}
    shapes[f"{CONTAINER}.weight"] = (architecture.classes, architecture.container_inputs, 1, 1)
    shapes[f"{CONTAINER}.bias"] = (architecture.classes,)
    return shapes


def check_names(found: Mapping[str, Shape], base: Architecture) -> None:
    """Raise `ValueError` unless `found` has the names of `base`'s tensors, and no others."""
    required = list(tensor_shapes(base))
    missing = [name for name in required if name not in found]
    if missing:
        raise ValueError(
            f"it lacks {len(missing)} of LPRNet's {len(required)} tensors, the first being "
            f"{missing[0]}"
        )
    known = {*required, *(f"{conv.norm}{OPTIONAL}" for conv in base.backbone if conv.norm)}
    unknown = [name for name in found if name not in known]
    if unknown:
        raise ValueError(
            f"it holds {len(unknown)} tensors that LPRNet does not have, the first being "
            f"{unknown[0]}"
        )


def classes_of(found: Mapping[str, Shape]) -> int:
    """How many classes a network of these tensors has. `check_names` holds."""
    shape = found[f"{CONTAINER}.weight"]
    return shape[0] if shape else 0


def infer_architecture(
    found: Mapping[str, Shape], base: Architecture, alphabet: Alphabet
) -> Architecture:
    """The architecture of a state dict with the tensor shapes `found`.

    What no shape says is as in `base`. Raises `ValueError` for names that `base` does not have or
    lacks, and where one shape contradicts the others.
    """
    check_names(found, base)
    backbone: list[Conv] = []
    channels = base.channels
    for conv in base.backbone:
        out, read, *kernel = _convolution(found, conv)
        if not backbone:
            channels, pool = read, conv.pool
        else:
            pool = conv.pool
            if pool is not None and pool.selection is not None:
                _check_selection(pool.selection, conv, backbone[-1])
            elif pool is not None:
                step = _channel_step(backbone[-1].out_channels, read, pool.channel_step)
                pool = replace(pool, channel_step=step)
        size = kernel[0], kernel[1]
        padding = conv.padding if size == conv.kernel else _padding(conv, size)
        backbone.append(replace(conv, out_channels=out, kernel=size, padding=padding, pool=pool))
    inferred = replace(base, alphabet=alphabet, channels=channels, backbone=tuple(backbone))
    for name, expected in tensor_shapes(inferred).items():
        if found[name] != expected:
            raise ValueError(
                f"its {name} has shape {found[name]} where its other tensors ask for {expected}"
            )
    if channels not in (1, 3):
        raise ValueError(f"its {backbone[0].name} reads {channels} channels; an image has 1 or 3")
    return inferred


def _convolution(found: Mapping[str, Shape], conv: Conv) -> Shape:
    shape = found[f"{conv.name}.weight"]
    if len(shape) != 4 or min(shape) < 1:
        raise ValueError(f"its {conv.name}.weight has shape {shape}, which is no 2-D convolution's")
    return shape


def _check_selection(selection: Sequence[int], conv: Conv, before: Conv) -> None:
    if max(selection) >= before.out_channels:
        raise ValueError(
            f"its {conv.name} reads channel {max(selection)} of {before.name}, which has "
            f"{before.out_channels}, counted from 0"
        )


def _channel_step(produced: int, read: int, usual: int) -> int:
    """The step at which `read` of `produced` channels are read, `usual` where nothing fits."""
    smallest = -(-produced // read)
    for step in (usual, smallest):
        if -(-produced // step) == read:
            return step
    return usual


def _padding(conv: Conv, kernel: Pair) -> Pair:
    """The padding of a convolution with another kernel than usual: where it keeps the size, so does
    it still.
    """
    rows, columns = (k // 2 if pad else 0 for k, pad in zip(kernel, conv.padding, strict=True))
    return rows, columns
