"""LPRNet found in an ONNX graph, walked backwards along the architecture from logits to image.

What is found is what the file says, in the file's own shapes: channels may have been removed.
"""

from dataclasses import dataclass

from onnx import NodeProto

from lprnet.model.architecture import CONTAINER, Architecture, Conv
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import LPRNET_CHINA
from lprnet.onnx_import.convolution import Convolution, read_convolution
from lprnet.onnx_import.edge import REMEDY_OTHER_FILE, Edge, edge_to, producer
from lprnet.onnx_import.graph import OnnxGraph
from lprnet.onnx_import.match_contexts import match_contexts, reduced_axes
from lprnet.support.errors import UserError


@dataclass(frozen=True)
class OnnxLPRNet:
    """The network of a file, by convolution name."""

    graph: OnnxGraph
    convolutions: dict[str, Convolution]
    edges: dict[str, Edge]
    """From a convolution's producer to what it reads."""
    contexts: tuple[Edge, ...]
    """From a layer that feeds a context map to what that map averages."""
    context_means: tuple[float, ...] | None
    """Constants of the context norm; None: the mean square of each image's own maps."""


def find_lprnet(graph: OnnxGraph) -> OnnxLPRNet:
    """LPRNet in `graph`. Raises `UserError` at the first node that is not LPRNet's."""
    architecture = LPRNET_CHINA
    _check_image(graph, architecture)
    model = LPRNet(architecture)
    head, averages = _container(graph)
    concat = producer(graph, head.input[0], "Concat")
    contexts = match_contexts(graph, concat, architecture, averages)
    convolutions = {CONTAINER: read_convolution(graph, head, model, CONTAINER)}
    edges: dict[str, Edge] = {}
    node = contexts[-1].edge.origin
    for conv in reversed(architecture.backbone):
        if node is None:
            raise graph.refusal(
                concat,
                f"has fewer layers before it than LPRNet: {conv.name} is missing; "
                f"{REMEDY_OTHER_FILE}",
            )
        convolutions[conv.name] = read_convolution(graph, node, model, conv.name)
        edges[conv.name] = edge = edge_to(graph, node.input[0])
        _check_edge(graph, node, edge, architecture, conv)
        index = architecture.context_index(conv)
        if index is not None and contexts[index].edge.origin is not node:
            raise graph.refusal(
                node, f"feeds no context map, as {conv.name} does; {REMEDY_OTHER_FILE}"
            )
        node = edge.origin
    norms = [context.norm for context in contexts if context.norm is not None]
    means = tuple(norms) if norms else None
    return OnnxLPRNet(graph, convolutions, edges, tuple(c.edge for c in contexts), means)


def _check_edge(
    graph: OnnxGraph, node: NodeProto, edge: Edge, architecture: Architecture, conv: Conv
) -> None:
    """Raise `UserError` unless `edge` is what `conv`, `node` in the file, reads by."""
    pools = () if conv.pool is None else (conv.pool.stride[1],)
    if edge.pools != pools:
        raise graph.refusal(
            node, f"has other max pools before it than {conv.name}; {REMEDY_OTHER_FILE}"
        )
    if architecture.producer(conv) is None:
        if edge.origin is not None or edge.rectified or edge.slices:
            raise graph.refusal(
                node, f"does not read the image as LPRNet's first does; {REMEDY_OTHER_FILE}"
            )
    elif not (edge.rectified or edge.steps):
        raise graph.refusal(node, f"has no ReLU before it; {REMEDY_OTHER_FILE}")


def _check_image(graph: OnnxGraph, architecture: Architecture) -> None:
    lprnet = (architecture.channels, architecture.height, architecture.width)
    given = graph.image_shape[1:]
    fits = all(extent in (0, own) for extent, own in zip(given, lprnet, strict=False))
    if len(given) not in (0, 3) or not fits:
        raise UserError(
            f"{graph.path}: its image {graph.image} is {graph.image_shape}, and LPRNet's is "
            f"{(1, *lprnet)}; {REMEDY_OTHER_FILE}"
        )


def _container(graph: OnnxGraph) -> tuple[NodeProto, bool]:
    """The last Conv, and whether a mean over the height follows it."""
    node = producer(graph, graph.result, "ReduceMean", "Squeeze")
    if reduced_axes(graph, node) != [2] or (
        node.op_type == "ReduceMean" and graph.integers(node, "keepdims", [1]) != [0]
    ):
        raise graph.refusal(node, f"is not LPRNet's mean over the height; {REMEDY_OTHER_FILE}")
    return producer(graph, node.input[0], "Conv"), node.op_type == "ReduceMean"
