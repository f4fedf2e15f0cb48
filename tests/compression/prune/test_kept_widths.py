"""The channels that structured pruning keeps of any network: given, recorded, or searched."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lprnet.compiler.complexity import count_macs
from lprnet.compression.prune.kept_widths import (
    Keep,
    kept_to_train,
    pruned_to_widths,
    read_widths,
    write_widths,
)
from lprnet.compression.prune.prune import structured
from lprnet.compression.prune.quick_search import SHARE, quick_search, quick_sensitivity
from lprnet.compression.reduced import ReducedNetwork, reduce
from lprnet.model.checkpoint import load_model
from lprnet.model.lprnet import LPRNet
from lprnet.model.published_lprnet import LPRNET_CHINA
from lprnet.support.errors import UserError
from tests.third_party_lprnet import ThirdPartyLPRNet, seeded, state_of


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(4, 1, 24, 94, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LPRNet:
    """A narrow grey network of 11 classes."""
    path = tmp_path_factory.mktemp("network") / "narrow.pth"
    theirs = seeded(ThirdPartyLPRNet(11, widths=(16, 64, 64, 64, 32), channels=1))
    torch.save(state_of(theirs), path)
    model = load_model(path)
    model.context_means = (1.0,) * 4
    return model


@pytest.fixture(scope="module")
def reduced(model: LPRNet) -> ReducedNetwork:
    return reduce(model)


def widths_of(network: ReducedNetwork) -> dict[str, int]:
    return {name: len(bias) for name, bias in network.compact.biases.items()}


@pytest.mark.parametrize("arithmetic", ["float32", "int8", "bf16"])
def test_another_network_is_searched(
    arithmetic: str, reduced: ReducedNetwork, images: Tensor
) -> None:
    narrow, how = pruned_to_widths(reduced, images, Keep(), arithmetic)
    assert how == "whole channels, widths searched"
    assert count_macs(narrow.module) <= SHARE * count_macs(reduced.module)
    before = widths_of(reduced)
    cut = {name: count for name, count in widths_of(narrow).items() if count < before[name]}
    assert cut
    assert narrow.compact.logits(images).isfinite().all()


def test_a_budget_is_kept(reduced: ReducedNetwork, images: Tensor) -> None:
    mmac = 0.7 * count_macs(reduced.module) / 1e6
    narrow, _ = pruned_to_widths(reduced, images, Keep(mmac=mmac), "int8")
    assert count_macs(narrow.module) <= 1e6 * mmac
    with pytest.raises(UserError, match="no narrower layers lead to 0.0 million"):
        quick_search(reduced, images, "int8", 10)


def test_the_search_ranks_as_a_whole_refit_does(reduced: ReducedNetwork, images: Tensor) -> None:
    """What a quick candidate changes is near what it changes with every later layer refitted."""
    target = reduced.compact.logits(images)
    candidates = quick_sensitivity(reduced.compact, images)
    quick = torch.tensor([one.error for one in candidates]).log()
    whole = torch.tensor(
        [
            float(
                (structured(reduced.compact, images, {one.name: one.width}).logits(images) - target)
                .square()
                .mean()
            )
            for one in candidates
        ]
    ).log()
    ranks = [errors.argsort().argsort().double() for errors in (quick, whole)]
    assert float(torch.corrcoef(torch.stack(ranks))[0, 1]) > 0.8


def test_a_file_says_the_widths(
    model: LPRNet, reduced: ReducedNetwork, images: Tensor, tmp_path: Path
) -> None:
    file = tmp_path / "widths.json"
    write_widths({"backbone.4.block.2": 8, "backbone.16": 16}, file)
    narrow, how = pruned_to_widths(reduced, images, Keep(file), "int8")
    assert how == "whole channels, widths of widths.json"
    found = widths_of(narrow)
    assert (found["backbone.4.block.2"], found["backbone.16"]) == (8, 16)
    network, kept = kept_to_train(model, reduced, images, Keep(file))
    assert network is reduced
    assert kept == read_widths(file, reduced.architecture)


def test_rows_go_where_channels_alone_change_more(
    model: LPRNet, reduced: ReducedNetwork, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where they are not enough."""
    whole = count_macs(reduced.module)
    little, widths = kept_to_train(model, reduced, images, Keep(mmac=0.2 * whole / 1e6))
    assert little.architecture.conv("backbone.4.block.2").row_stride == 2
    cut = little.bind(structured(little.compact, images, widths))
    assert count_macs(cut.module) <= 0.2 * whole
    with pytest.raises(UserError, match="no narrower layers lead to"):
        kept_to_train(model, reduced, images, Keep(mmac=0.01))
    distances = iter([1.0, 2.0, 2.0, 1.0])  # of channels alone, of half of the rows
    monkeypatch.setattr("lprnet.compression.prune.kept_widths.distance", lambda *_: next(distances))
    much, _ = kept_to_train(model, reduced, images, Keep(mmac=0.45 * whole / 1e6))
    assert much is reduced
    other, _ = kept_to_train(model, reduced, images, Keep(mmac=0.45 * whole / 1e6))
    assert other.architecture.conv("backbone.4.block.2").row_stride == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "holds no widths"),
        ("[" * 100_000, "holds no widths"),
        ("[1]", "names no convolution"),
        ("{}", "names no convolution"),
        ('{"head": 3}', "'head', which is no convolution of this network; its own are backbone.0"),
        ('{"backbone.0": 0}', "keeps 0 channels of backbone.0; give a whole number from 1 to 64"),
        ('{"backbone.0": 65}', "keeps 65 channels"),
        ('{"backbone.0": true}', "keeps true channels"),
        ('{"backbone.0": 2.5}', "keeps 2.5 channels"),
        (json.dumps({"backbone.0": "1" * 200_000}), "more than 100,000 bytes"),
    ],
)
def test_files_that_hold_no_widths(content: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "widths.json"
    file.write_text(content)
    with pytest.raises(UserError, match=sentence) as refused:
        read_widths(file, LPRNET_CHINA)
    assert str(refused.value).startswith(str(file))
    assert "\n" not in str(refused.value)
