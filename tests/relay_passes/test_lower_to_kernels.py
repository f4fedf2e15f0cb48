"""Lowered graphs, run by TVM's own virtual machine from unscheduled kernels, against references."""

import numpy as np
import pytest
import torch
import tvm
from numpy.typing import NDArray
from tvm import relax, tirx
from tvm.relax.op import (
    add,
    astype,
    concat,
    divide,
    mean,
    multiply,
    nn,
    quantize,
    repeat,
    square,
    squeeze,
    strided_slice,
)

from lprnet.compiler.codegen import tvm_target
from lprnet.compiler.targets import find_target
from relay_passes.insert_quantize import LayerScales, QParams
from relay_passes.lower_to_kernels import LowerToKernels
from relay_passes.lowering.check_pair_sums import PairSumError
from relay_passes.lowering.layout import PackedTensor, pack_weight
from relay_passes.lowering.tile_convolution import TileError
from relay_passes.pipeline import bfloat16_graph, lower_graph, quantize_graph, reduce_graph
from schedules.isa import AMX_BF16, AMX_INT8, AVX2, AVX512, AVX512_VNNI, Isa
from schedules.workloads.integer import QuantizedConv2d
from schedules.workloads.match import match
from tests import quantized_reference, relax_reference
from tests.relax_networks import (
    NORMALISATION,
    Damage,
    Emit,
    Network,
    apply,
    const,
    miniature,
    module,
    per_channel,
    random_weight,
    shared_module,
)

RNG = np.random.default_rng(0)
SHAPE = (1, 3, 8, 13)
ISAS = pytest.mark.parametrize(
    "isa", [AVX2, AVX512, AVX512_VNNI, AMX_INT8], ids=lambda isa: isa.name
)


def weight(out: int, into: int, *kernel: int) -> relax.Expr:
    return const(random_weight(RNG, out, into, *kernel))


def run(lowered: tvm.IRModule, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`main(pixels)` in HWC."""
    named = {
        variable: function.with_attr("global_symbol", variable.name_hint)
        if isinstance(function, tirx.PrimFunc)
        else function
        for variable, function in lowered.functions.items()
    }
    # This CPU's code: the kernel that expands pruned weights is AVX2 at least.
    target = tvm_target(find_target("native"))
    machine = relax.VirtualMachine(tvm.compile(tvm.IRModule(named), target), tvm.cpu())
    out: NDArray[np.float32] = machine["main"](tvm.runtime.tensor(pixels)).numpy()
    return out


def some_pixels(height: int, width: int) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, (height, width, 3), dtype="uint8")


def normalised(pixels: NDArray[np.uint8]) -> torch.Tensor:
    nchw = torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype("float64"))
    return (nchw - 127.5) / 128


@pytest.mark.parametrize("means", [None, (0.6, 0.3, 6.0, 0.2)])
def test_a_lowered_lprnet_computes_the_same(means: tuple[float, ...] | None) -> None:
    damage = Damage(norm=0.3, inner=0.3, inner_bias=0.2)
    reduced = reduce_graph(miniature(np.random.default_rng(0), damage, means))
    pixels = some_pixels(24, 94)
    expected = relax_reference.evaluate(reduced, normalised(pixels)).numpy()[0]
    got = run(lower_graph(reduced, AVX2, *NORMALISATION), pixels)
    assert got.shape[:2] == (1, 18)
    np.testing.assert_allclose(got[0, :, :10].T, expected, rtol=0, atol=2e-6 * abs(expected).max())
    assert not got[0, :, 10:].any(), "padding channels must be zero"


def values(lowered: tvm.IRModule) -> list[relax.Call]:
    return [b.value for b in lowered["main"].body.blocks[0].bindings if hasattr(b.value, "op")]


def shape(expression: relax.Expr) -> tuple[int, ...]:
    return tuple(int(extent) for extent in expression.ty.shape)


def lowered_network(network: Network, isa: Isa = AVX2) -> tvm.IRModule:
    return apply(LowerToKernels(isa, *NORMALISATION), module(network, SHAPE))


def test_padding_slices_and_concatenation_are_places_not_kernels() -> None:
    def network(x: relax.Var) -> relax.Expr:
        y = nn.relu(add(nn.conv2d(x, weight(12, 3, 3, 1), padding=(1, 0)), per_channel(*range(12))))
        pooled = nn.max_pool2d(strided_slice(y, [1], [0], [10]), (3, 3), (1, 2))
        return concat([nn.avg_pool2d(pooled, (6, 1)), nn.avg_pool2d(pooled, (6, 1))], 1)

    lowered = lowered_network(network)
    placements = [v for v in values(lowered) if v.op.name != "relax.call_tir"]
    assert [v.op.name for v in placements] == ["relax.nn.pad", "relax.concat"]
    pad, joined = placements
    assert [int(n) for n in pad.attrs.pad_width] == [1, 1, 0, 0, 0, 0]
    assert shape(pad) == (10, 13, 3)
    assert int(joined.attrs.axis) == 2
    assert shape(joined) == (1, 6, 32)


def test_a_slice_is_a_view_of_whole_vectors() -> None:
    """Of 40 channels in 40 lanes the pool reads the first 10, padded to 16."""

    def network(x: relax.Var) -> relax.Expr:
        y = nn.relu(add(nn.conv2d(x, weight(40, 3, 3, 3)), per_channel(*range(40))))
        return nn.max_pool2d(strided_slice(y, [1], [0], [10]), (3, 3), (1, 2))

    (view,) = (v for v in values(lowered_network(network)) if "slice" in v.op.name)
    assert [int(n) for n in view.args[2].fields] == [0, 0, 0]
    assert [int(n) for n in view.args[3].fields] == list(shape(view)) == [6, 11, 16]


def test_a_pool_of_one_window_is_known_whatever_its_stride() -> None:
    """The shapes of a kernel do not tell it."""
    first = weight(3, 3, 1, 1)

    def network(x: relax.Var) -> relax.Expr:
        y = nn.relu(add(nn.conv2d(x, first), per_channel(1, 2, 3)))
        column = nn.max_pool2d(y, (3, 3), (1, 11))
        return nn.avg_pool2d(column, (4, 1), (5, 2))

    before, pixels = module(network, SHAPE), some_pixels(*SHAPE[2:])
    lowered = apply(LowerToKernels(AVX2, *NORMALISATION), before)
    kernels = [f for f in lowered.functions.values() if isinstance(f, tirx.PrimFunc)]
    assert all(match(kernel) is not None for kernel in kernels)
    expected = relax_reference.evaluate(before, normalised(pixels)).numpy()[0]
    assert expected.shape == (3, 1, 1)
    np.testing.assert_allclose(run(lowered, pixels)[0, 0, :3], expected[:, 0, 0], rtol=1e-5)


def test_equal_kernels_are_one_function() -> None:
    def network(x: relax.Var) -> relax.Expr:
        for _ in range(3):
            x = nn.relu(add(nn.conv2d(x, weight(3, 3, 1, 1)), per_channel(1, 2, 3)))
        return x

    lowered = lowered_network(network)
    kernels = [f for f in lowered.functions.values() if isinstance(f, tirx.PrimFunc)]
    calls = [v for v in values(lowered) if v.op.name == "relax.call_tir"]
    assert len(calls) == 4
    assert len(kernels) == 2
    assert all(match(kernel) is not None for kernel in kernels)


@pytest.mark.parametrize(("out", "block"), [(5, 8), (8, 8), (20, 16)])
def test_packed_weights(out: int, block: int) -> None:
    real = random_weight(RNG, out, 3, 2, 4)
    packed = pack_weight(real, block)
    assert packed.shape == (-(-out // block), 2, 4, 3, block)
    assert packed.flags.c_contiguous
    for (o, i, h, w), value in np.ndenumerate(real):
        assert packed[o // block, h, w, i, o % block] == value
    assert np.count_nonzero(packed) == np.count_nonzero(real)


def test_weights_meet_the_channels_of_a_concatenation() -> None:
    """Segments of 3 in 8 lanes and 2 in 4: logical channels 0 to 4 lie at 0, 1, 2, 8, 9."""
    joined = PackedTensor(
        relax.Var("x", relax.TensorType((1, 1, 12), "float32")), 1, 1, ((3, 8), (2, 4))
    )
    assert (joined.logical, joined.physical) == (5, 12)
    real = random_weight(RNG, 4, 5, 1, 1)
    scatter_channels = joined.scatter_channels(real, joined.physical)
    np.testing.assert_array_equal(scatter_channels[:, [0, 1, 2, 8, 9]], real)
    assert not np.delete(scatter_channels, [0, 1, 2, 8, 9], axis=1).any()


BIAS = per_channel(1, 2, 3, 4)
ZERO = relax.const(np.uint8(0))


def biased(x: relax.Expr, **attributes: object) -> relax.Expr:
    return add(nn.conv2d(x, weight(4, 3, 3, 3), **attributes), BIAS)


def bytes_of(x: relax.Expr) -> relax.Expr:
    return quantize(x, relax.const(np.float32(1)), ZERO, 1, "uint8")


INTEGERS = relax.const(np.ones((4, 3, 3, 3), "int8"))
UNSUPPORTED: dict[str, Network] = {
    "another activation": lambda x: relax.op.sigmoid(biased(x)),
    "a convolution that skips columns": lambda x: biased(x, strides=(1, 2)),
    "a dilated convolution": lambda x: biased(x, dilation=2),
    "a grouped convolution": lambda x: nn.conv2d(x, weight(3, 1, 3, 3), groups=3),
    "uneven padding": lambda x: biased(x, padding=(0, 0, 1, 1)),
    "a 2x2 max pool": lambda x: nn.max_pool2d(nn.relu(biased(x)), (2, 2)),
    "a padded max pool": lambda x: nn.max_pool2d(nn.relu(biased(x)), (3, 3), padding=1),
    "repeated rows and no pool": lambda x: repeat(nn.relu(biased(x)), 2, 2),
    "repeated columns": lambda x: nn.max_pool2d(repeat(nn.relu(biased(x)), 2, 3), (3, 3)),
    "rows three times": lambda x: nn.max_pool2d(repeat(nn.relu(biased(x)), 3, 2), (3, 3)),
    "repeated rows that are skipped": lambda x: nn.max_pool2d(
        repeat(nn.relu(biased(x)), 2, 2), (3, 3), (2, 1)
    ),
    "a padded average pool": lambda x: nn.avg_pool2d(nn.relu(biased(x)), (3, 3), padding=1),
    "a slice that is no prefix": lambda x: nn.max_pool2d(
        strided_slice(nn.relu(biased(x)), [1], [1], [3]), (3, 3)
    ),
    "every second channel": lambda x: nn.max_pool2d(
        strided_slice(nn.relu(biased(x)), [1], [0], [4], [2]), (3, 3)
    ),
    "a slice of rows": lambda x: nn.max_pool2d(
        strided_slice(nn.relu(biased(x)), [2], [0], [4]), (3, 3)
    ),
    "a concatenation of columns": lambda x: concat([nn.relu(biased(x)), nn.relu(biased(x))], 3),
    "a squeezed image": lambda x: squeeze(nn.relu(biased(x)), [0]),
    "a mean over channels": lambda x: relax.op.divide(
        nn.relu(biased(x)), mean(square(nn.relu(biased(x))), [1], keepdims=True)
    ),
    "a sum of two maps": lambda x: add(nn.conv2d(x, weight(3, 3, 1, 1)), x),
    "a bias a pixel": lambda x: add(
        nn.conv2d(x, weight(3, 3, 1, 1)), const(np.ones((1, 1, 8, 13)))
    ),
    "quantized values that are no image": lambda x: bytes_of(nn.relu(biased(x))),
    "integers that are not requantized": lambda x: multiply(
        astype(nn.conv2d(bytes_of(x), INTEGERS, out_dtype="int32"), "float32"), const(0.5)
    ),
}


@pytest.mark.parametrize("network", UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_what_no_kernel_covers_is_refused(network: Network) -> None:
    with pytest.raises(ValueError, match="no kernel covers|not requantized|its max pool"):
        lowered_network(network)


def whole_multiples(out: int, into: int, *kernel: int) -> tuple[relax.Expr, NDArray[np.float64]]:
    integers = RNG.integers(-63, 64, (out, into, *kernel))
    scales = RNG.uniform(0.5, 2, out).astype("float32") / 100
    return const(integers * scales[:, None, None, None].astype("float64")), scales.astype("float64")


@ISAS
@pytest.mark.parametrize("levels", [(127, 255, 127), (255, 127, 255)])
@pytest.mark.parametrize(
    ("height", "conv_stride", "repeats", "pool_stride"),
    [(8, 1, 1, 1), (14, 2, 1, 1), (15, 2, 1, 1), (12, 1, 1, 2), (8, 2, 2, 1)],
)
def test_a_lowered_integer_network_computes_the_integers(
    isa: Isa,
    levels: tuple[int, int, int],
    height: int,
    conv_stride: int,
    repeats: int,
    pool_stride: int,
) -> None:
    """Image, padded convolution, sliced and pooled integers, a context pool, a float container
    with int8 weights: what NumPy computes from the graph before lowering. Each layer emits `levels`
    of its own. Strides and repeats are of rows.
    """
    image_shape = (1, 3, height, 13)
    layers = [
        whole_multiples(6, 3, 3, 3),
        whole_multiples(5, 6, 3, 1),
        whole_multiples(7, 4, 1, 1),
        whole_multiples(10, 7, 1, 1),
    ]
    biases = [RNG.normal(0, 0.5, (1, len(scales), 1, 1)) for _, scales in layers]

    def network(x: relax.Var) -> relax.Expr:
        conv = [
            lambda x, i=i, **p: add(nn.conv2d(x, layers[i][0], **p), const(biases[i]))
            for i in range(4)
        ]
        strides = (conv_stride, 1)
        y = nn.relu(conv[1](nn.relu(conv[0](x)), padding=(1, 0), strides=strides))
        some = strided_slice(y, [1], [0], [4])
        some = repeat(some, repeats, 2) if repeats > 1 else some
        z = nn.relu(conv[2](nn.max_pool2d(some, (3, 3), (pool_stride, 2))))
        return squeeze(conv[3](nn.avg_pool2d(z, (4, 1), (4, 1))), [2])

    steps = [real / most for real, most in zip((1.5, 1.0, 0.8), levels, strict=True)]
    # The normalisation is folded into the first weights, and with it their scales.
    scales = [
        LayerScales(layers[0][1] / 128, steps[0], levels[0]),
        LayerScales(layers[1][1], steps[1], levels[1]),
        LayerScales(layers[2][1], steps[2], levels[2]),
        LayerScales(layers[3][1], None),
    ]
    quantized = quantize_graph(module(network, image_shape), scales, *NORMALISATION)
    pixels = some_pixels(*image_shape[2:])
    image = pixels.transpose(2, 0, 1)[None].astype("float64")
    expected = quantized_reference.evaluate(quantized, image)[0]
    lowered = lower_graph(quantized, isa, *NORMALISATION)
    got = run(lowered, pixels)[0, :, :10].T
    assert abs(expected).max() > 0.1
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6 * abs(expected).max())
    names = " ".join(variable.name_hint for variable in lowered.get_global_vars())
    prefix = "tconv" if isa.tiles else "qconv"
    for kernel in (*(f"{prefix}{window}" for window in ("3x3", "3x1", "1x1")), "qmaxpool"):
        assert kernel in names
    assert "qavgpool" in names
    assert "sconv1x1" in names


def no_bias(channels: int) -> relax.Expr:
    return const(np.zeros((1, channels, 1, 1)))


def test_results_beyond_int16_and_narrow_maps_have_no_tiles() -> None:
    """What a kernel on tile registers could not hold, or has no whole tile of; and what a kernel on
    vectors knows of its results.
    """

    def network(x: relax.Var) -> relax.Expr:
        y = nn.relu(add(nn.conv2d(x, plain[0]), no_bias(6)))
        return nn.avg_pool2d(nn.relu(add(nn.conv2d(y, narrowing[0]), no_bias(5))), (6, 1))

    plain, narrowing = whole_multiples(6, 3, 3, 3), whole_multiples(5, 6, 1, 9)
    for step, expected in ((1.5 / 255, "tconv3x3"), (1e-5, "qconv3x3")):
        scales = [
            LayerScales(plain[1] / 128, step, 255),
            LayerScales(narrowing[1], 1.0, 255),
        ]
        quantized = quantize_graph(module(network, SHAPE), scales, *NORMALISATION)
        lowered = lower_graph(quantized, AMX_INT8, *NORMALISATION)
        names = " ".join(variable.name_hint for variable in lowered.get_global_vars())
        assert expected in names
        assert "qconv1x9" in names
        on_vectors = lower_graph(quantized, AVX2, *NORMALISATION)
        fits = [
            workload.int16_results
            for function in on_vectors.functions.values()
            if isinstance(function, tirx.PrimFunc)
            and isinstance(workload := match(function), QuantizedConv2d)
        ]
        assert fits == [expected == "tconv3x3", True]


def test_pairs_of_products_are_those_of_what_each_layer_reads() -> None:
    """Two weights of 127 fit AVX2's sums on 0 to 127, and not on 0 to 255."""

    def network(x: relax.Var) -> relax.Expr:
        y = nn.relu(add(nn.conv2d(x, const(np.ones((4, 3, 1, 1)))), no_bias(4)))
        return nn.avg_pool2d(nn.relu(add(nn.conv2d(y, const(heavy)), no_bias(2))), (8, 1))

    def lowered(levels: tuple[int, int]) -> tvm.IRModule:
        scales = [LayerScales(np.full(4, 1 / 128), 0.01, levels[0])]
        scales.append(LayerScales(np.ones(2), 1.0, levels[1]))
        quantized = quantize_graph(module(network, SHAPE), scales, *NORMALISATION)
        return lower_graph(quantized, AVX2, *NORMALISATION)

    heavy = np.full((2, 4, 1, 1), 127.0)
    assert lowered((127, 255))
    with pytest.raises(PairSumError, match="16-bit sums"):
        lowered((255, 127))


def test_bfloat16_needs_its_instructions_and_two_columns() -> None:
    weight = const(np.ones((4, 3, 3, 3)) / 2)

    def network(x: relax.Var) -> relax.Expr:
        return nn.avg_pool2d(nn.relu(add(nn.conv2d(x, weight), no_bias(4))), (6, 1))

    def lowered(width: int, isa: Isa) -> tvm.IRModule:
        rounded = bfloat16_graph(module(network, (1, 3, 8, width)))
        return lower_graph(rounded, isa, *NORMALISATION)

    names = {str(variable.name_hint) for variable in lowered(4, AMX_BF16).get_global_vars()}
    assert {"bnormalise_8x4x3", "bconv3x3_6x2_4to4", "bavgpool_1x2x16_k6x1"} <= names
    with pytest.raises(TileError, match="a layer of it is 1 pixels wide, and bf16 needs 2"):
        lowered(3, AMX_BF16)
    with pytest.raises((ValueError, tvm.error.InternalError), match="no kernel covers"):
        lowered(4, AMX_INT8)


def test_a_pool_before_tiles_fills_cache_lines() -> None:
    """44 of 80 channels: 64 of them on tile registers, else whole vectors."""
    layers = [whole_multiples(80, 3, 1, 1), whole_multiples(5, 44, 1, 1)]

    def network(x: relax.Var) -> relax.Expr:
        y = nn.relu(add(nn.conv2d(x, layers[0][0]), no_bias(80)))
        pooled = nn.max_pool2d(strided_slice(y, [1], [0], [44]), (3, 3), (1, 2))
        return nn.avg_pool2d(nn.relu(add(nn.conv2d(pooled, layers[1][0]), no_bias(5))), (6, 1))

    scales = [LayerScales(layers[0][1] / 128, 0.01, 255), LayerScales(layers[1][1], 0.1, 255)]
    quantized = quantize_graph(module(network, SHAPE), scales, *NORMALISATION)
    for isa, channels in ((AVX512_VNNI, 48), (AMX_INT8, 64)):
        lowered = lower_graph(quantized, isa, *NORMALISATION)
        names = " ".join(variable.name_hint for variable in lowered.get_global_vars())
        assert f"qmaxpool_6x6x{channels}" in names


@ISAS
def test_inputs_rounded_first_and_a_norm_of_integers(isa: Isa) -> None:
    """What only imported networks hold: an image and a map that are rounded to other scales before
    they are read, and integers divided by their mean square.
    """
    layers = [
        whole_multiples(6, 3, 3, 3),
        whole_multiples(9, 6, 1, 1),
        whole_multiples(10, 9, 1, 1),
    ]
    biases = [const(RNG.normal(0.5, 0.2, (1, len(scales), 1, 1))) for _, scales in layers]

    def network(x: relax.Var, emit: Emit) -> relax.Expr:
        y = nn.max_pool2d(nn.relu(add(nn.conv2d(x, layers[0][0]), biases[0])), (3, 3), (1, 2))
        z = emit(nn.relu(add(nn.conv2d(y, layers[1][0]), biases[1])))
        norm = mean(square(z), [1, 2, 3], keepdims=True)
        pooled = divide(nn.avg_pool2d(z, (4, 1), (4, 1)), norm)
        return squeeze(add(nn.conv2d(pooled, layers[2][0]), biases[2]), [2])

    scales = [
        LayerScales(layers[0][1], 0.011, 255, QParams(0.0079, 120)),
        LayerScales(layers[1][1], 0.008, 255, QParams(0.007)),
        None,
    ]
    quantized = quantize_graph(shared_module(network, SHAPE), scales, *NORMALISATION)
    pixels = some_pixels(*SHAPE[2:])
    expected = quantized_reference.evaluate(quantized, normalised(pixels).numpy())[0]
    lowered = lower_graph(quantized, isa, *NORMALISATION)
    got = run(lowered, pixels)[0, :, :10].T
    assert abs(expected).max() > 0.1
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6 * abs(expected).max())
    names = [variable.name_hint for variable in lowered.get_global_vars()]
    assert sum(name.startswith("look_up") for name in names) == 2
