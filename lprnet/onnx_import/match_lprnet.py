"""LPRNet found in an ONNX graph, walked backwards along `lprnet/model/conv_graph.py` from logits to
image.

What is found is what the file says, in the file's own shapes: channels may have been removed.
"""

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from lprnet.model.conv_graph import CONTAINER, LAYERS
from lprnet.model.lprnet import CONTEXT_POOLS, HEIGHT, WIDTH, LPRNet
from lprnet.onnx_import.convolution import Convolution, read_convolution
from lprnet.onnx_import.edge import ANOTHER, STATIC, Path, path_to, producer
from lprnet.onnx_import.graph import OnnxGraph
from lprnet.support.errors import UserError


@dataclass(frozen=True)
class OnnxLPRNet:
    """The network of a file, by convolution name."""

    graph: OnnxGraph
    convolutions: dict[str, Convolution]
    reads: dict[str, Path]
    """From a layer's source to what it reads."""
    contexts: tuple[Path, ...]
    """From a layer that feeds a context map to what that map averages."""
    context_means: tuple[float, ...] | None
    """Constants of the context norm; None: the mean square of each image's own maps."""


@dataclass(frozen=True)
class _Context:
    path: Path
    norm: float | None
    """What it is divided by; None: its own mean square."""
    over_height: bool
    """Averaged over the whole height at once."""


def find_lprnet(graph: OnnxGraph) -> OnnxLPRNet:
    """LPRNet in `graph`. Raises `UserError` at the first node that is not LPRNet's."""
    _check_image(graph)
    model = LPRNet()
    head, averages = _container(graph)
    convolutions = {CONTAINER: read_convolution(graph, head, model, CONTAINER)}
    concat = producer(graph, head.input[0], "Concat")
    if len(concat.input) != len(CONTEXT_POOLS) or graph.integers(concat, "axis", []) not in (
        [1],
        [-3],
    ):
        raise graph.refusal(concat, f"does not join LPRNet's four context maps; {ANOTHER}")
    contexts = [_context(graph, name, number) for number, name in enumerate(concat.input)]
    whole, norms = {c.over_height for c in contexts}, [c.norm for c in contexts]
    if len(whole) > 1 or (not averages and whole == {False}):
        raise graph.refusal(concat, f"joins maps that are not LPRNet's; {ANOTHER}")
    per_image = norms == [None] * len(norms)
    if not per_image and None in norms or per_image and whole == {True}:
        raise graph.refusal(concat, f"joins maps that are not all normalised alike; {ANOTHER}")

    reads: dict[str, Path] = {}
    node = contexts[-1].path.origin
    for layer in reversed(LAYERS):
        if node is None:
            raise graph.refusal(
                concat,
                f"has fewer layers before it than LPRNet: {layer.name} is missing; {ANOTHER}",
            )
        convolutions[layer.name] = read_convolution(graph, node, model, layer.name)
        reads[layer.name] = path = path_to(graph, node.input[0])
        if path.pools != (() if layer.pool is None else (layer.pool[1],)):
            raise graph.refusal(node, f"has other max pools before it than {layer.name}; {ANOTHER}")
        if layer.context is not None and contexts[layer.context].path.origin is not node:
            raise graph.refusal(node, f"feeds no context map, as {layer.name} does; {ANOTHER}")
        if layer.source is None and (path.origin is not None or path.rectified or path.slices):
            raise graph.refusal(node, f"does not read the image as LPRNet's first does; {ANOTHER}")
        if layer.source is not None and not (path.rectified or path.steps):
            raise graph.refusal(node, f"has no ReLU before it; {ANOTHER}")
        node = path.origin
    means = None if per_image else tuple(float(norm) for norm in norms if norm is not None)
    paths = tuple(context.path for context in contexts)
    return OnnxLPRNet(graph, convolutions, reads, paths, means)


def _check_image(graph: OnnxGraph) -> None:
    lprnet = (3, HEIGHT, WIDTH)
    given = graph.image_shape[1:]
    fits = all(extent in (0, own) for extent, own in zip(given, lprnet, strict=False))
    if len(given) not in (0, 3) or not fits:
        raise UserError(
            f"{graph.path}: its image {graph.image} is {graph.image_shape}, and LPRNet's is "
            f"{(1, *lprnet)}; {ANOTHER}"
        )


def _container(graph: OnnxGraph) -> tuple[NodeProto, bool]:
    """The last Conv, and whether a mean over the height follows it."""
    node = producer(graph, graph.result, "ReduceMean", "Squeeze")
    if _axes(graph, node) != [2] or (
        node.op_type == "ReduceMean" and graph.integers(node, "keepdims", [1]) != [0]
    ):
        raise graph.refusal(node, f"is not LPRNet's mean over the height; {ANOTHER}")
    return producer(graph, node.input[0], "Conv"), node.op_type == "ReduceMean"


def _context(graph: OnnxGraph, name: str, number: int) -> _Context:
    """Context map `number`, `name` being what the container reads of it."""
    norm: float | None = 1.0
    node = graph.origins.get(name)
    if node is not None and node.op_type == "Div":
        name, norm = node.input[0], None
        divisor = graph.array(node.input[1])
        if divisor is None:
            _check_mean_square(graph, node)
        elif divisor.size == 1 and float(divisor.item()) >= np.finfo(np.float32).tiny:
            norm = float(divisor.item())
        else:
            raise graph.refusal(node, "divides by no positive number; export or train it again")
        node = graph.origins.get(name)
    pool, over_height = CONTEXT_POOLS[number], False
    if node is not None and node.op_type == "AveragePool":
        kernel, stride = (graph.integers(node, key, []) for key in ("kernel_shape", "strides"))
        (rows, columns), (_, right) = pool or ((1, 1), (1, 1))
        over_height = (kernel, stride) == ([4 * rows, columns], [4 * rows, right])
        own = pool is not None and (kernel, stride) == (list(pool[0]), list(pool[1]))
        if any(graph.padding(node)) or graph.integers(node, "ceil_mode", [0]) != [0]:
            own = over_height = False
        if not (own or over_height):
            raise graph.refusal(node, f"is not LPRNet's pool of context map {number}; {ANOTHER}")
        name = node.input[0]
    elif pool is not None:
        producer(graph, name, "AveragePool")
    path = path_to(graph, name)
    whole = path.origin is not None and not path.slices and not path.pools
    if not whole or not (path.rectified or path.steps) or len(path.steps) > 1:
        raise UserError(
            f"{graph.path}: {name!r}, which context map {number} averages, is not what a layer of "
            f"LPRNet emits behind its ReLU, rounded at most once; {ANOTHER}, or {STATIC}"
        )
    return _Context(path, norm, over_height)


def _check_mean_square(graph: OnnxGraph, divide: NodeProto) -> None:
    """Raise `UserError` unless what `divide` divides by is the mean square of what it divides."""
    mean = producer(graph, divide.input[1], "ReduceMean")
    square = producer(graph, mean.input[0], "Pow", "Mul")
    power = graph.array(square.input[1]) if square.op_type == "Pow" else None
    squares = list(square.input) == [divide.input[0]] * 2
    if power is not None:
        squares = square.input[0] == divide.input[0] and power.size == 1 and power.item() == 2
    axes = _axes(graph, mean)
    whole = axes in ([], [0, 1, 2, 3]) or (
        axes == [1, 2, 3] and graph.integers(mean, "keepdims", [1]) != [0]
    )
    if not squares or not whole:
        raise graph.refusal(divide, f"does not divide by the map's own mean square; {ANOTHER}")


def _axes(graph: OnnxGraph, node: NodeProto) -> list[int]:
    """Of a ReduceMean or Squeeze of four dimensions, sorted; none: all."""
    axes = graph.integers(node, "axes", [])
    if not axes and len(node.input) > 1 and node.input[1]:
        axes = graph.constant(node, 1).reshape(-1).tolist()
    return sorted(axis % 4 for axis in axes)
