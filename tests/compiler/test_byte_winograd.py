"""Quantization and the compiler meet: what is rounded for Winograd's algorithm in bytes is computed
by it, with VNNI and nowhere else.
"""

import pytest

from lprnet.compression.compiler_inputs import quantized_network
from lprnet.compression.quantize.even_filters import even_layers
from lprnet.compression.quantize.int16_pairs import PAIR_LIMIT
from lprnet.model.preprocessing import OFFSET, SCALE
from relay_passes.lowering.check_pair_sums import check_pair_sums
from relay_passes.pipeline import lower_graph, quantize_graph
from schedules.apply import kernels, schedule
from schedules.isa import AVX2, AVX512, AVX512_VNNI, Isa
from schedules.workloads.integer import QuantizedConv2d
from tests.prepared import quantized_on_few_plates
from tests.shared_results import SharedResults


@pytest.mark.parametrize("isa", [AVX2, AVX512, AVX512_VNNI], ids=lambda isa: isa.name)
def test_layers_of_three_taps(shared_results: SharedResults, isa: Isa) -> None:
    """The default model has two in each of its three blocks."""
    reduced, quantized = shared_results.call(quantized_on_few_plates)
    assert len(even_layers(reduced.compact)) == 6
    network = quantized_network(reduced, quantized)
    graph = quantize_graph(network.module, network.scales, OFFSET, SCALE)
    lowered = lower_graph(graph, isa, OFFSET, SCALE)
    convolutions = [w for _, w in kernels(lowered) if isinstance(w, QuantizedConv2d)]
    exact = {w.name for w in convolutions if w.exact_winograd}
    by_bytes = {w.name for w in convolutions if schedule(w, isa)[1].endswith("in bytes")}
    taps = {w.name for w in convolutions if w.kernel_height * w.kernel_width == 3}
    assert taps
    assert exact == by_bytes == (taps if isa is AVX512_VNNI else set())


def test_no_pair_of_products_saturates_at_what_each_layer_reads(
    shared_results: SharedResults,
) -> None:
    """Layers of 7 bits have no limit of pairs, and use that."""
    _, quantized = shared_results.call(quantized_on_few_plates)
    largest_pairs = []
    for conv in quantized.architecture.backbone:
        producer = quantized.architecture.producer(conv)
        if producer is None:
            continue
        largest = quantized.layers[producer.name].output_qmax
        values = quantized.layers[conv.name].weight.values
        if values.shape[1] % 2 == 0:
            check_pair_sums(values.transpose(0, 2, 3, 1), largest)
        if largest < 255 and values.shape[1] % 2 == 0:
            pairs = values.astype(int)[:, ::2] + values[:, 1::2]
            largest_pairs.append(abs(pairs).max())
    assert max(largest_pairs) > PAIR_LIMIT
