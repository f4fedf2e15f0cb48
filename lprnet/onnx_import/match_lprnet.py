"""LPRNet found in an ONNX graph, walked backwards from the logits to the image.

The file says everything of the network but its alphabet and what its pixels are: widths, kernels,
pools and contexts may be any that have LPRNet's form.
"""

from dataclasses import dataclass, replace

import onnx_ir as ir

from lprnet.model.alphabets import alphabet_for
from lprnet.model.architecture import CONTAINER, Architecture, Context, Conv, MaxPool
from lprnet.onnx_import.convolution import Convolution, read_convolution
from lprnet.onnx_import.edge import REMEDY_OTHER_FILE, Edge, edge_to, producer
from lprnet.onnx_import.graph import OnnxGraph
from lprnet.onnx_import.match_contexts import match_contexts
from lprnet.runtime.alphabet import Alphabet
from lprnet.support.errors import UserError

MAX_SIZE = 4096
"""The largest height or width of an image, as of `--size`."""


@dataclass(frozen=True)
class OnnxLPRNet:
    """The network of a file, by convolution name."""

    graph: OnnxGraph
    architecture: Architecture
    convolutions: dict[str, Convolution]
    edges: dict[str, Edge]
    """From a convolution's producer to what it reads."""
    contexts: tuple[Edge, ...]
    """From a layer that feeds a context map to what that map averages."""
    context_means: tuple[float, ...] | None
    """Constants of the context norm; None: the mean square of each image's own maps."""


def find_lprnet(graph: OnnxGraph, base: Architecture, named: Alphabet | None) -> OnnxLPRNet:
    """LPRNet in `graph`. The names of its layers and its preprocessing are those of `base`, as is
    the size of an image where the file leaves it open; its alphabet is `named`, or the known one of
    its size. Raises `UserError` at the first node that is not LPRNet's.
    """
    mean = _mean_over_height(graph)
    head = producer(graph, mean.inputs[0], "Conv")
    concat = producer(graph, head.inputs[0], "Concat")
    contexts = match_contexts(graph, concat)
    nodes, edges = _backbone(graph, concat, contexts[-1].edge.origin, base)
    convolutions = {name: read_convolution(graph, node) for name, node in nodes.items()}
    convolutions[CONTAINER] = container = read_convolution(graph, head)

    names = [name for c in contexts for name, node in nodes.items() if c.edge.origin is node]
    if len(names) != len(contexts) or len({*names}) != len(names):
        raise graph.refusal(
            concat, f"joins other maps than one of a layer of LPRNet each; {REMEDY_OTHER_FILE}"
        )
    height, width = _size(graph, base, convolutions)
    architecture = replace(
        base,
        alphabet=alphabet_for(len(container.weight), named, graph.path),
        height=height,
        width=width,
        channels=convolutions[base.backbone[0].name].weight.shape[1],
        backbone=tuple(_convs(graph, base, convolutions, edges)),
        contexts=tuple(
            Context(name, c.kernel, c.stride) for name, c in zip(names, contexts, strict=True)
        ),
    )
    _check_container(graph, container, architecture, concat, mean)
    norms = [context.norm for context in contexts if context.norm is not None]
    return OnnxLPRNet(
        graph,
        architecture,
        convolutions,
        edges,
        tuple(context.edge for context in contexts),
        tuple(norms) if norms else None,
    )


def _mean_over_height(graph: OnnxGraph) -> ir.Node:
    """The last node: a mean over rows, or a Squeeze of the only one."""
    node = producer(graph, graph.result, "ReduceMean", "Squeeze")
    if graph.axes(node, 4) != [2] or (
        node.op_type == "ReduceMean" and graph.integers(node, "keepdims", [1]) != [0]
    ):
        raise graph.refusal(node, f"is not LPRNet's mean over the height; {REMEDY_OTHER_FILE}")
    return node


def _backbone(
    graph: OnnxGraph, concat: ir.Node, last: ir.Node | None, base: Architecture
) -> tuple[dict[str, ir.Node], dict[str, Edge]]:
    """The convolutions up to `last` in order, by the names of `base`, and what leads to each."""
    nodes: list[ir.Node] = []
    edges: list[Edge] = []
    while last is not None and len(nodes) <= len(base.backbone):
        nodes.append(last)
        edges.append(edge_to(graph, last.inputs[0]))
        last = edges[-1].origin
    if len(nodes) != len(base.backbone):
        raise graph.refusal(
            concat,
            f"does not end in a map of LPRNet's last layer, after {len(base.backbone)} "
            f"convolutions in a row; {REMEDY_OTHER_FILE}",
        )
    names = [conv.name for conv in base.backbone]
    return (
        dict(zip(names, reversed(nodes), strict=True)),
        dict(zip(names, reversed(edges), strict=True)),
    )


def _convs(
    graph: OnnxGraph,
    base: Architecture,
    convolutions: dict[str, Convolution],
    edges: dict[str, Edge],
) -> list[Conv]:
    """The backbone as the file has it, its batch norms folded."""
    convs: list[Conv] = []
    for named in base.backbone:
        one, edge = convolutions[named.name], edges[named.name]
        if len(edge.pools) > 1 or (edge.slices and not edge.pools):
            raise graph.refusal(
                one.node, f"has other max pools before it than {named.name}; {REMEDY_OTHER_FILE}"
            )
        if convs and not (edge.rectified or edge.steps):
            raise graph.refusal(one.node, f"has no ReLU before it; {REMEDY_OTHER_FILE}")
        if not convs and (edge.rectified or edge.pools):
            raise graph.refusal(
                one.node, f"does not read the image as LPRNet's first does; {REMEDY_OTHER_FILE}"
            )
        out, read, *kernel = one.weight.shape
        pool = None
        if convs:
            taken = edge.channels(convs[-1].out_channels).tolist()
            if len(taken) != read:
                raise graph.refusal(
                    one.node,
                    f"has weights {one.weight.shape} where its input has {len(taken)} channels; "
                    f"{REMEDY_OTHER_FILE}",
                )
            if edge.pools:
                pool = _pool(taken, convs[-1].out_channels, edge.pools[0])
        convs.append(Conv(named.name, out, (kernel[0], kernel[1]), padding=one.padding, pool=pool))
    return convs


def _pool(taken: list[int], count: int, stride: int) -> MaxPool:
    """The max pool that reads the channels `taken` of `count`."""
    step = taken[1] - taken[0] if len(taken) > 1 else count
    if taken == list(range(0, count, step)):
        return MaxPool(step, stride=(1, stride))
    return MaxPool(stride=(1, stride), selection=tuple(taken))


def _size(
    graph: OnnxGraph, base: Architecture, convolutions: dict[str, Convolution]
) -> tuple[int, int]:
    """Height and width of the image."""
    shape = graph.image.shape
    extents = [] if shape is None else [n if isinstance(n, int) else None for n in shape]
    channels = convolutions[base.backbone[0].name].weight.shape[1]
    fits = len(extents) in (0, 4) and channels in (1, 3)
    if not fits or (extents and extents[1] not in (None, channels)):
        raise UserError(
            f"{graph.path}: its image {graph.image.name} is {_text(extents)}, of which its first "
            f"convolution reads {channels} channels, and LPRNet's is (batch, 3 or 1, height, "
            f"width); {REMEDY_OTHER_FILE}"
        )
    _, _, height, width = extents or [None] * 4
    if max(height or 0, width or 0) > MAX_SIZE:
        raise UserError(
            f"{graph.path} reads {width}x{height} images, larger than {MAX_SIZE}x{MAX_SIZE}; "
            f"{REMEDY_OTHER_FILE}"
        )
    return height or base.height, width or base.width


def _text(extents: list[int | None]) -> str:
    return f"({', '.join('?' if n is None else str(n) for n in extents)})"


def _check_container(
    graph: OnnxGraph,
    container: Convolution,
    architecture: Architecture,
    concat: ir.Node,
    mean: ir.Node,
) -> None:
    """Raise `UserError` unless the contexts meet and are what the container reads."""
    inputs = architecture.container_inputs
    if container.weight.shape[1:] != (inputs, 1, 1) or any(container.padding):
        raise graph.refusal(
            container.node,
            f"with weights {container.weight.shape} is not LPRNet's 1x1 convolution of {inputs} "
            f"channels; {REMEDY_OTHER_FILE}",
        )
    try:
        rows, _ = (architecture.shapes(), architecture.grid)[1]
    except ValueError as error:
        raise graph.refusal(
            concat,
            f"joins maps of {architecture.width}x{architecture.height} images that do not have one "
            f"size; {REMEDY_OTHER_FILE}",
        ) from error
    if mean.op_type == "Squeeze" and rows != 1:
        raise graph.refusal(mean, f"is not LPRNet's mean over the height; {REMEDY_OTHER_FILE}")
