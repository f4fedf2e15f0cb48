"""On 200 random LPRNets: no dropped channel changes the logits, and no other one can be dropped."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
import tvm
from numpy.typing import NDArray
from tvm import relax
from tvm.relax.op import add, concat, divide, mean, nn, strided_slice

from lprnet.model.architecture import CONTAINER, Architecture, Conv
from lprnet.model.published_lprnet import lprnet
from lprnet.runtime.alphabet import Alphabet
from relay_passes.channels.numbers import channel_numbers
from relay_passes.pipeline import reduce_graph
from tests.relax_networks import Emit, const, per_channel, random_weight, shared_module
from tests.relay_passes.dead_channel_oracle import Floats, Folded

SMALL = lprnet(Alphabet("four", ("a", "b", "c", "-"), 3), 21, 46, widths=(6, 8, 12, 12, 6))
NETWORKS, IMAGES = 200, 2
FLOAT32 = 2.0**-24
"""Of the largest logit: what rounding to float32 changes."""
Norm = tuple[Floats, Floats, Floats, Floats]
"""Gamma, beta, mean and variance."""


class RandomNetwork:
    """Weights with channels dead in every way there is, and others that only nearly are."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.share = self.rng.choice([0.0, 0.2, 0.5, 0.9])
        self.weights: dict[str, NDArray[np.float32]] = {}
        self.biases: dict[str, Floats] = {}
        self.norms: dict[str, Norm] = {}
        self.means = self.rng.uniform(0.2, 5, len(SMALL.contexts)).astype("float32")
        for conv in SMALL.backbone:
            self._add(conv)
        self.weights[CONTAINER] = random_weight(
            self.rng, SMALL.classes, SMALL.container_inputs, 1, 1
        )
        self._unread(CONTAINER)
        self.biases[CONTAINER] = self._normal(SMALL.classes)

    def _add(self, conv: Conv) -> None:
        out = conv.out_channels
        weight = random_weight(self.rng, out, SMALL.in_channels(conv), *conv.kernel)
        weight[self._chosen(out)] *= self.rng.choice([0.0, 1e-41, 1e-20, 1e-7])
        bias = self._normal(out)
        bias[self._chosen(out)] = self.rng.choice([0.0, -100.0, 0.5])
        self.weights[conv.name], self.biases[conv.name] = weight, bias
        self._unread(conv.name)
        if conv.norm is not None:
            gamma = self.rng.uniform(0.5, 1.5, out) * self.rng.choice([-1, 1], out)
            gamma[self._chosen(out)] = self.rng.choice([0.0, 1e-41, 1e-20, -1e-12, 1e-6])
            beta = self._normal(out)
            beta[self._chosen(out)] = self.rng.choice([-100.0, 0.0, 0.7])
            variance = self.rng.uniform(0.1, 1, out)
            variance[self._chosen(out)] = 0.0
            parts = (gamma, beta, self._normal(out), variance)
            self.norms[conv.name] = tuple(part.astype("f4").astype("f8") for part in parts)  # type: ignore[assignment]

    def _chosen(self, count: int) -> NDArray[np.bool_]:
        chosen: NDArray[np.bool_] = self.rng.random(count) < self.share / 2
        return chosen

    def _unread(self, name: str) -> None:
        self.weights[name][:, self._chosen(self.weights[name].shape[1])] *= self.rng.choice(
            [0, 1e-30]
        )

    def _normal(self, count: int) -> Floats:
        return self.rng.normal(0, 0.1, count).astype("float32").astype("float64")

    def relax(self) -> tvm.IRModule:
        """As `to_relax` leaves it, but for tuples around the max pools."""

        def biased(x: relax.Expr, name: str, padding: tuple[int, int] = (0, 0)) -> relax.Expr:
            conv = nn.conv2d(x, const(self.weights[name]), padding=padding)
            return add(conv, per_channel(*self.biases[name]))

        def network(x: relax.Var, emit: Emit) -> relax.Expr:
            outputs = {}
            for conv in SMALL.backbone:
                if conv.pool is not None:
                    step = conv.pool.channel_step
                    x = x if step == 1 else strided_slice(x, [1], [0], [2**63 - 1], [step])
                    x = nn.max_pool2d(x, conv.pool.kernel, conv.pool.stride)
                x = biased(x, conv.name, conv.padding)
                if conv.name in self.norms:
                    norm = map(const, self.norms[conv.name])
                    normalised = nn.batch_norm(x, *norm, axis=1, epsilon=1e-5, training=False)
                    x = relax.TupleGetItem(normalised, 0)
                x = outputs[conv.name] = emit(nn.relu(x))
            contexts = [
                nn.avg_pool2d(outputs[one.of], one.kernel, one.stride, count_include_pad=True)
                for one in SMALL.contexts
            ]
            divided = [divide(x, const(m)) for x, m in zip(contexts, self.means, strict=True)]
            return mean(biased(concat(divided, 1), CONTAINER), [2], keepdims=False)

        return shared_module(network, (1, SMALL.channels, SMALL.height, SMALL.width))

    def folded(self) -> Folded:
        """For the oracle."""
        weights = {name: weight.astype("float64") for name, weight in self.weights.items()}
        biases = dict(self.biases)
        for name, (gamma, beta, average, variance) in self.norms.items():
            scale = gamma / np.sqrt(variance + 1e-5)
            weights[name] = weights[name] * scale[:, None, None, None]
            biases[name] = (biases[name] - average) * scale + beta
        divisors = [
            np.full(SMALL.conv(c.of).out_channels, m)
            for c, m in zip(SMALL.contexts, self.means, strict=True)
        ]
        weights[CONTAINER] = weights[CONTAINER] / np.concatenate(divisors)[:, None, None]
        reads = {
            conv.name: list(range(SMALL.channels) if producer is None else _selected(SMALL, conv))
            for conv in SMALL.backbone
            for producer in [SMALL.producer(conv)]
        }
        return Folded(SMALL, weights, biases, reads)


def _selected(architecture: Architecture, conv: Conv) -> Sequence[int]:
    producer = architecture.producer(conv)
    assert producer is not None
    return range(0, producer.out_channels, conv.channel_step)


def one_at_a_time(network: Folded, gone: dict[str, list[int]], x: torch.Tensor) -> float:
    """How far the logits of `x` move at most, in parts of the largest, when one of the channels
    `gone` is replaced: by the least value that it has, or by 0 in front of zero padding.
    """
    bounds = network.bounds()
    replaced = {}
    for name, channels in gone.items():
        padded = network.is_padded(network.architecture.conv(name))
        lows = bounds[name][0][channels].clip(min=0)
        values = np.zeros(len(channels)) if padded else lows
        replaced[name] = list(zip(channels, values.tolist(), strict=True))
    expected, *found = network.logits(x, replaced)
    if not found:
        return 0.0
    return float((torch.stack(found) - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("start", range(0, NETWORKS, 50))
def test_what_is_dropped_is_dead_and_what_is_left_is_not(start: int) -> None:
    dropped = last = noticed = 0
    for seed in range(start, start + 50):
        random = RandomNetwork(seed)
        network, reduced = random.folded(), reduce_graph(random.relax())
        *numbers, classes = channel_numbers(reduced["main"])
        assert len(classes) == SMALL.classes
        kept = dict(zip((conv.name for conv in SMALL.backbone), numbers, strict=True))
        gone = {
            name: np.setdiff1d(np.arange(len(network.biases[name])), rows).tolist()
            for name, rows in kept.items()
        }
        shape = (IMAGES, SMALL.channels, SMALL.height, SMALL.width)
        x = torch.from_numpy(random.rng.uniform(-1, 1, shape))
        assert one_at_a_time(network, gone, x) <= FLOAT32, seed
        rest = {name: rows.tolist() for name, rows in kept.items()}
        noticed += one_at_a_time(network, rest, x) > FLOAT32
        left = network.without(kept)
        for conv in SMALL.backbone:
            consumer = SMALL.consumer(conv)
            read = [] if consumer is None else left.reads[consumer.name]
            for channel in np.flatnonzero(left.removable(conv)).tolist():
                only = len(kept[conv.name]) == 1 or read == [channel]
                assert only, (seed, conv.name, channel)
                last += 1
        dropped += sum(map(len, gone.values()))
    assert dropped > 500
    assert last > 5
    assert noticed > 20
