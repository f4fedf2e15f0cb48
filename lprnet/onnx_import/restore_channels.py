"""Convolutions of a file that lacks channels, in LPRNet's full shapes."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lprnet.model.conv_graph import CONTAINER, LAYERS, context_columns, convolution, reader
from lprnet.model.lprnet import LPRNet
from lprnet.onnx_import.convolution import Convolution
from lprnet.onnx_import.edge import REMEDY_OTHER_FILE
from lprnet.onnx_import.match_lprnet import OnnxLPRNet

Places = dict[str, NDArray[np.int64]]
"""Convolution name to the channels of LPRNet that the file's channels become."""


def in_full_shape(found: OnnxLPRNet, model: LPRNet) -> dict[str, Convolution]:
    """The convolutions of `found` in the shapes of `model`; channels that the file lacks are zero.

    Those that a later layer selects go where LPRNet's stride selects them, and all keep their
    order. Raises `UserError` where they do not fit.
    """
    places = _places(found, model)
    rows = places | {CONTAINER: np.arange(convolution(model, CONTAINER).out_channels)}
    full = {}
    for name, one in found.convolutions.items():
        columns = _columns(found, places, model, name)
        shape = tuple(convolution(model, name).weight.shape)
        if one.weight.shape[:2] != (len(rows[name]), len(columns)):
            raise found.graph.refusal(
                one.node,
                f"has weights {one.weight.shape} where its input has {len(columns)} channels and "
                f"LPRNet's {name} has {shape[0]} outputs; {REMEDY_OTHER_FILE}",
            )
        weight = np.zeros(shape, one.weight.dtype)
        weight[rows[name][:, None], columns] = one.weight
        full[name] = replace(
            one,
            weight=weight,
            scale=None if one.scale is None else _spread(one.scale, rows[name], shape[0], 1.0),
            bias=_spread(one.bias, rows[name], shape[0], 0),
            bias_scale=None
            if one.bias_scale is None
            else _spread(one.bias_scale, rows[name], shape[0], 1.0),
        )
    return full


def _places(found: OnnxLPRNet, model: LPRNet) -> Places:
    places = {}
    for layer in LAYERS:
        one, behind = found.convolutions[layer.name], reader(layer)
        count, full = len(one.weight), convolution(model, layer.name).out_channels
        edge = None if behind is None else found.edges[behind.name]
        taken = np.arange(count) if edge is None else edge.channels(count)
        left = np.setdiff1d(np.arange(count), taken)
        homes = np.arange(0, full, 1 if behind is None else behind.stride)
        others = np.setdiff1d(np.arange(full), homes)
        lacking = found.context_means is None and layer.context is not None and count < full
        if not 0 < len(taken) <= len(homes) or len(left) > len(others) or lacking:
            norm = ", all of which the norm of each image counts" if lacking else ""
            raise found.graph.refusal(
                one.node,
                f"has {count} channels, {len(taken)} of them read by the next layer, and LPRNet's "
                f"{layer.name} {full} and {len(homes)}{norm}; {REMEDY_OTHER_FILE}",
            )
        places[layer.name] = np.empty(count, np.int64)
        places[layer.name][taken] = homes[: len(taken)]
        places[layer.name][left] = others[: len(left)]
    return places


def _columns(found: OnnxLPRNet, places: Places, model: LPRNet, name: str) -> NDArray[np.int64]:
    """LPRNet's input channels that the file's weights of `name` read, in their order."""
    if name == CONTAINER:
        contexts = [layer.name for layer in LAYERS if layer.context is not None]
        return np.concatenate(
            [
                columns.start + places[context]
                for context, columns in zip(contexts, context_columns(model), strict=True)
            ]
        )
    (layer,) = (layer for layer in LAYERS if layer.name == name)
    if layer.source is None:
        return np.arange(3)
    source = places[layer.source]
    read: NDArray[np.int64] = source[found.edges[name].channels(len(source))] // layer.stride
    return read


def _spread(values: NDArray[Any], places: NDArray[np.int64], count: int, rest: float) -> Any:
    """`(count,)` with `values` at `places` and `rest` elsewhere."""
    spread = np.full(count, rest, values.dtype)
    spread[places] = values
    return spread
