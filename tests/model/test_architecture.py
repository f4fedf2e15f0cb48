"""The network as a value: against the torch module, and for any image size."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from lprnet.model.architecture import Architecture, Context, Conv, MaxPool
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import LPRNET_CHINA, lprnet
from lprnet.runtime.alphabet import CHINA, Alphabet

LATIN = Alphabet("latin", (*"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", "-"), blank=36)


def traced(model: LPRNet, height: int, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each convolution that runs and the shape of what it puts out, in the order of execution."""
    seen: list[tuple[str, tuple[int, ...]]] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(
                lambda _module, _in, out, name=name: seen.append((name, tuple(out.shape[1:])))
            )
    model.eval()(torch.zeros(1, 3, height, width))
    yield from seen


def test_shapes_are_those_of_the_torch_module() -> None:
    *backbone, (container, logits) = traced(LPRNet(), 24, 94)
    assert list(LPRNET_CHINA.shapes().items()) == backbone
    assert (container, logits) == ("container.0", (LPRNET_CHINA.classes, *LPRNET_CHINA.grid))
    assert LPRNET_CHINA.positions == 18


def test_every_tensor_of_the_torch_module_follows_from_the_value() -> None:
    model = LPRNet()
    for conv in LPRNET_CHINA.backbone:
        module = model.get_submodule(conv.name)
        assert isinstance(module, nn.Conv2d)
        shape = (conv.out_channels, LPRNET_CHINA.in_channels(conv), *conv.kernel)
        assert (tuple(module.weight.shape), module.padding) == (shape, conv.padding)
        if conv.norm is not None:
            norm = model.get_submodule(conv.norm)
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.num_features == conv.out_channels
    container = model.get_submodule("container.0")
    assert isinstance(container, nn.Conv2d)
    assert container.weight.shape[:2] == (LPRNET_CHINA.classes, LPRNET_CHINA.container_inputs)


def test_context_pools_of_the_published_network() -> None:
    """Those of `LPRNet_Pytorch`: AvgPool2d(5, 5) twice, AvgPool2d((4, 10), (4, 2)), and none."""
    pools = [(context.kernel, context.stride) for context in LPRNET_CHINA.contexts]
    assert pools == [((5, 5), (5, 5)), ((5, 5), (5, 5)), ((4, 10), (4, 2)), ((1, 1), (1, 1))]


def test_neighbours() -> None:
    backbone = LPRNET_CHINA.backbone
    assert LPRNET_CHINA.producer(backbone[0]) is None
    assert LPRNET_CHINA.consumer(backbone[-1]) is None
    for first, second in zip(backbone, backbone[1:], strict=False):
        assert LPRNET_CHINA.consumer(first) is second
        assert LPRNET_CHINA.producer(second) is first
    fed = {LPRNET_CHINA.context_index(conv): conv.name for conv in backbone}
    assert [fed[index] for index in range(4)] == [c.of for c in LPRNET_CHINA.contexts]


@settings(deadline=None)
@given(st.integers(20, 80), st.integers(24, 200), st.sampled_from([CHINA, LATIN]))
def test_contexts_of_any_size_meet(height: int, width: int, alphabet: Alphabet) -> None:
    if height < 21 or width < 23:
        with pytest.raises(ValueError, match="too small"):
            lprnet(alphabet, height, width)
        return
    architecture = lprnet(alphabet, height, width)
    shapes = architecture.shapes()
    for context in architecture.contexts:
        _, rows, columns = shapes[context.of]
        pooled = F.avg_pool2d(torch.zeros(1, 1, rows, columns), context.kernel, context.stride)
        assert pooled.shape[2:] == architecture.grid
    assert architecture.positions == architecture.grid[1]


def test_contexts_that_do_not_meet_are_refused() -> None:
    wide = replace(LPRNET_CHINA, width=160)
    with pytest.raises(ValueError, match=r"4x31, 4x31, 4x34, 4x35 maps, which do not meet"):
        wide.shapes()
    with pytest.raises(ValueError, match="do not meet"):
        _ = wide.positions


def test_an_image_of_which_nothing_is_left_is_refused() -> None:
    with pytest.raises(ValueError, match=r"images of 94x16 .*: they are too small.*backbone\.20"):
        lprnet(CHINA, height=16)


def test_rows_that_are_read_twice_again_and_again_are_refused() -> None:
    pool = MaxPool(row_repeat=2)
    doubling = tuple(Conv(f"layer{n}", 4, (1, 1), pool=pool) for n in range(20))
    huge = replace(LPRNET_CHINA, backbone=doubling, contexts=(Context("layer19"),))
    with pytest.raises(ValueError, match=r"makes a map of [\d,]+ rows or columns for layer"):
        huge.shapes()


def test_narrowed_keeps_the_places_that_the_pool_selects() -> None:
    narrow = LPRNET_CHINA.narrowed({"backbone.4.block.6": (0, 1, 4, 7, 126)})
    consumer = narrow.conv("backbone.8.block.0")
    assert narrow.conv("backbone.4.block.6").out_channels == 5
    assert consumer.pool is not None
    assert consumer.pool.selection == (0, 2, 4)
    assert narrow.in_channels(consumer) == 3
    assert narrow.container_inputs == LPRNET_CHINA.container_inputs - 123
    assert narrow.shapes()["backbone.8.block.0"] == (64, 18, 44)


def small(height: int, contexts: tuple[Context, ...]) -> Architecture:
    return replace(LPRNET_CHINA, height=height, contexts=contexts)


def test_a_context_pool_larger_than_its_map_is_refused() -> None:
    contexts = (Context("backbone.0", (23, 5), (5, 5)), *LPRNET_CHINA.contexts[1:])
    with pytest.raises(ValueError, match=r"nothing is left for the context of backbone\.0"):
        small(24, contexts).shapes()


@pytest.mark.parametrize(
    ("symbols", "blank", "problem"),
    [
        (("0", "1", "0"), 2, "stands for more than one class"),
        (("0", "1"), 2, "the blank is class 2 of 2"),
        (("-",), 0, "one beside the blank"),
        (("0", "", "-"), 2, "a symbol for each class"),
    ],
)
def test_alphabets_that_say_nothing_certain(
    symbols: tuple[str, ...], blank: int, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        Alphabet("mine", symbols, blank)
