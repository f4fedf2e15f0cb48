"""Checkpoints as people have them: each is read as its own torch class computes, or refused.

The rows are those that about 180 public repositories showed: other heads, widths, colours and
sizes, wrappers, aliases and other normalisations.
"""

import json
import re
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lprnet.model.alphabets import ALPHABETS
from lprnet.model.architecture import MaxPool
from lprnet.model.architecture_json import from_json, to_json
from lprnet.model.checkpoint import Stated, load_china, load_model, save_model
from lprnet.model.checkpoint_content import transformer_beside
from lprnet.model.confidence_file import read_confidence
from lprnet.model.preprocessing import OFFSET, SCALE
from lprnet.model.published_lprnet import LPRNET_CHINA, lprnet
from lprnet.runtime.alphabet import CHINA, Alphabet
from lprnet.support.errors import UserError
from tests.third_party_lprnet import ThirdPartyLPRNet, seeded, state_of

CLOSE = 1e-4
"""Of the largest logit, between two float32 networks."""


def image(height: int = 24, width: int = 94, channels: int = 3) -> "np.ndarray[Any, Any]":
    """`(H, W, C)` uint8."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def tensor_of(pixels: "np.ndarray[Any, Any]", offset: Any = OFFSET, scale: Any = SCALE) -> Tensor:
    """`(1, C, H, W)` float32."""
    planes = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()).double()
    offset, scale = (torch.tensor(v).double().reshape(-1, 1, 1) for v in (offset, scale))
    normalised: Tensor = ((planes - offset) * scale).float()
    return normalised


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def assert_alike(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert float((found - expected).abs().max() / expected.abs().max()) < CLOSE


@pytest.mark.parametrize(
    ("classes", "widths", "channels", "alphabet"),
    [
        (68, (64, 128, 256, 256, 256), 3, "china"),
        (66, (48, 96, 192, 192, 192), 1, "china-no-io"),
        (37, (80, 160, 320, 320, 320), 3, "latin"),
        (23, (50, 100, 200, 200, 200), 3, "russia"),
        (11, (32, 64, 128, 128, 128), 1, "digits"),
    ],
)
@torch.no_grad()
def test_heads_widths_and_colours_are_read_from_the_tensors(
    classes: int, widths: tuple[int, ...], channels: int, alphabet: str, tmp_path: Path
) -> None:
    theirs = seeded(ThirdPartyLPRNet(classes, widths, channels))
    model = load_model(saved(tmp_path / "m.pth", state_of(theirs)))
    assert model.architecture.alphabet.name == alphabet
    assert (model.architecture.classes, model.architecture.channels) == (classes, channels)
    x = tensor_of(image(channels=channels))
    assert_alike(model(x), theirs(x))


SIZES = {
    (128, 32): (((8, 22), (2, 4)), ((6, 20), (2, 4)), ((4, 9), (2, 2))),
    (96, 48): (((19, 22), (1, 4)), ((17, 20), (1, 4)), ((15, 9), (1, 2))),
    (160, 24): (((5, 22), (5, 4)), ((5, 20), (5, 4)), ((4, 9), (4, 2))),
}


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_other_sizes_by_an_architecture_file(size: tuple[int, int], tmp_path: Path) -> None:
    theirs = seeded(ThirdPartyLPRNet(36 + 1, pools=SIZES[size]))
    path = saved(tmp_path / "m.pth", state_of(theirs))
    of = ("backbone.0", "backbone.4.block.6", "backbone.11.block.6", "backbone.20")
    pools = [*SIZES[size], ((1, 1), (1, 1))]
    said = {
        "width": size[0],
        "height": size[1],
        "contexts": [
            {"of": name, "kernel": kernel, "stride": stride}
            for name, (kernel, stride) in zip(of, pools, strict=True)
        ],
    }
    x = tensor_of(image(size[1], size[0]))
    with pytest.raises(UserError, match="which do not meet; other context pools are needed"):
        load_model(path, Stated(size=size))
    file = tmp_path / "a.json"
    file.write_text(json.dumps(said))
    model = load_model(path, Stated(architecture=file, alphabet="latin"))
    assert_alike(model(x), theirs(x))
    # Pools in the file, the size by its flag; an editor may have put a mark of UTF-8 before them.
    file.write_text(json.dumps({"contexts": said["contexts"]}), encoding="utf-8-sig")
    stated = Stated(architecture=file, alphabet="latin", size=size)
    assert load_model(path, stated).architecture == model.architecture
    # Beside the checkpoint, it need not be named; and a safetensors file carries it.
    (tmp_path / "m.pth.json").write_text(json.dumps(said))
    assert load_model(path).architecture == model.architecture
    save_model(model, tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    assert again.architecture == model.architecture
    assert torch.equal(again(x), model(x))


WRAPPERS: dict[str, Callable[[Any], object]] = {
    "net_state_dict": lambda state: {"net_state_dict": state, "epoch": 3, "iters": 9},
    "epoch, lpr, st": lambda state: {"epoch": 3, "lpr": state, "st": {"fc": torch.zeros(3)}},
    "lightning": lambda state: {
        "state_dict": {f"model.{name}": value for name, value in state.items()},
        "epoch": 3,
    },
    "container itself": lambda state: {
        name.replace("container.0", "container"): value for name, value in state.items()
    },
    "half": lambda state: {name: value.half() for name, value in state.items()},
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@torch.no_grad()
def test_wrappers_and_aliases(wrapper: str, tmp_path: Path) -> None:
    theirs = seeded(ThirdPartyLPRNet())
    if wrapper == "half":
        theirs = theirs.half().float()
    model = load_model(saved(tmp_path / "m.pth", WRAPPERS[wrapper](state_of(theirs))))
    x = tensor_of(image())
    assert_alike(model(x), theirs(x))


@pytest.mark.parametrize(
    ("content", "beside"),
    [
        ({"lpr": {"a": torch.zeros(1)}, "st": {"localization.0.weight": torch.zeros(1)}}, True),
        ({"lpr": {"a": torch.zeros(1)}, "st": {"module.fc_loc.0.bias": torch.zeros(1)}}, True),
        ({"lpr": {"a": torch.zeros(1)}, "optimizer": {"state": {}}}, False),
        ({"a": torch.zeros(1)}, False),
    ],
)
def test_a_transformer_beside_the_network_is_seen(
    content: object, beside: bool, tmp_path: Path
) -> None:
    assert transformer_beside(saved(tmp_path / "m.pth", content)) == beside


@pytest.mark.parametrize(
    ("preprocessing", "offset", "scale"),
    [
        ({"order": "rgb"}, OFFSET, SCALE),
        ({"offset": [0], "scale": [1 / 255]}, 0.0, 1 / 255),
        (
            {"order": "rgb", "offset": [123.7, 116.3, 103.5], "scale": [0.017, 0.0175, 0.0174]},
            [123.7, 116.3, 103.5],
            [0.017, 0.0175, 0.0174],
        ),
    ],
)
@torch.no_grad()
def test_other_normalisations_become_ours(
    preprocessing: dict[str, Any], offset: Any, scale: Any, tmp_path: Path
) -> None:
    theirs = seeded(ThirdPartyLPRNet())
    path = saved(tmp_path / "m.pth", state_of(theirs))
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"preprocessing": preprocessing}))
    model = load_model(path, Stated(architecture=file))
    pixels = image()
    read = pixels[:, :, ::-1] if preprocessing.get("order") == "rgb" else pixels
    assert_alike(model(tensor_of(pixels)), theirs(tensor_of(read, offset, scale)))
    if preprocessing == {"order": "rgb"}:
        same = load_model(path, Stated(order="rgb"))
        assert torch.equal(same(tensor_of(pixels)), model(tensor_of(pixels)))


@pytest.mark.parametrize("said", [None, '{"preprocessing": {"order": "rgb"}}'])
def test_grey_images_have_no_order_of_colours(said: str | None, tmp_path: Path) -> None:
    path = saved(tmp_path / "m.pth", state_of(seeded(ThirdPartyLPRNet(37, channels=1))))
    stated = Stated(order="rgb")
    if said is not None:
        (tmp_path / "a.json").write_text(said)
        stated = Stated(architecture=tmp_path / "a.json")
    with pytest.raises(UserError, match="grey images, which have no order of colours; leave out"):
        load_model(path, stated)
    assert load_model(path, Stated(order="bgr")).architecture.channels == 1


def quantized(state: Any) -> object:
    weight = torch.quantize_per_tensor(state["backbone.0.weight"], 0.1, 0, torch.qint8)
    return {**state, "backbone.0.weight": weight}


class Whole(nn.Module):
    """Pickled with its class."""


def within_itself() -> object:
    wrapper: dict[str, object] = {}
    wrapper["model"] = wrapper
    return wrapper


REFUSED: dict[str, tuple[Callable[[Any], object], str]] = {
    "36 classes without a blank": (
        lambda state: state_of(seeded(ThirdPartyLPRNet(36))),
        "has 36 classes, the blank included, and no known alphabet has as many (china 68, "
        "china-no-io 66, china-marks 75, latin 37, russia 23, digits 11); give --alphabet FILE "
        "with one symbol a line and <blank> for the blank, which CTC needs as a class of its own",
    ),
    "an unknown wrapper": (
        lambda state: {"ema": state, "optim": {"lr": 0.1}, "step": 4},
        "holds under the keys 'ema', 'optim', 'step' and no tensor of its own; 'ema' looks like a "
        "network: save it alone, torch.save(checkpoint['ema'], FILE)",
    ),
    "a wrapper of nothing": (
        lambda state: {"optim": {"lr": 0.1}, "step": 4},
        "none of them looks like a network; save model.state_dict()",
    ),
    "a whole module": (
        lambda state: Whole(),
        "needs code to be read (tests.model.test_third_party_checkpoints.Whole): it holds a whole "
        "model, or a script's objects beside the weights, and code of a checkpoint is never run; "
        "load it where that code is known and save model.state_dict() alone",
    ),
    "options beside the network": (
        lambda state: {"state_dict": state, "args": Namespace(lr=0.1)},
        "needs code to be read (argparse.Namespace): it holds a whole model, or a script's",
    ),
    "a wrapper that holds itself": (
        lambda state: within_itself(),
        "holds under the keys 'model' and no tensor of its own, and none of them looks like",
    ),
    "a sparse tensor": (
        lambda state: {**state, "backbone.0.weight": state["backbone.0.weight"].to_sparse()},
        "backbone.0.weight is a sparse or nested tensor; save it as a plain tensor",
    ),
    "a tensor of the meta device": (
        lambda state: {**state, "backbone.0.weight": state["backbone.0.weight"].to("meta")},
        "backbone.0.weight is a shape without values; save it as a plain tensor",
    ),
    "a spatial transformer inside": (
        lambda state: {**state, "localization.0.weight": torch.zeros(32, 3, 3, 3)},
        "holds a spatial transformer (localization, fc_loc), which is not compiled",
    ),
    "a spatial transformer as another part of one model": (
        lambda state: {
            **{f"lpr.{name}": value for name, value in state.items()},
            "stn.fc_loc.0.weight": torch.zeros(32, 3),
        },
        "holds a spatial transformer (localization, fc_loc), which is not compiled",
    ),
    "a spatial transformer alone": (
        lambda state: {"fc_loc.0.weight": torch.zeros(32, 3)},
        "holds a spatial transformer (localization, fc_loc), which is not compiled",
    ),
    "a spatial transformer alone, in a wrapper": (
        lambda state: {"epoch": 3, "st": {"fc_loc.0.weight": torch.zeros(32, 3)}},
        "holds under the keys 'epoch', 'st' and no tensor of its own; 'st' is a spatial "
        "transformer, which is not compiled: give the state dict of an LPRNet",
    ),
    "a spatial transformer beside an unknown wrapper": (
        lambda state: {"ema": state, "st": {"module.fc_loc.0.weight": torch.zeros(32, 3)}},
        "no tensor of its own; 'ema' looks like a network: save it alone, "
        "torch.save(checkpoint['ema'], FILE)",
    ),
    "qint8": (quantized, "backbone.0.weight is torch.qint8, quantized by torch; give the float"),
    "attention": (
        lambda state: {**state, "attention.weight": torch.zeros(3)},
        "is no LPRNet checkpoint: it holds 1 tensors that LPRNet does not have, the first being "
        "attention.weight",
    ),
    "residual blocks": (
        lambda state: {**state, "backbone.4.downsample.0.weight": torch.zeros(128, 64, 1, 1)},
        "is no LPRNet checkpoint: it holds 1 tensors that LPRNet does not have, the first being "
        "backbone.4.downsample.0.weight",
    ),
    "22 classes without a blank": (
        lambda state: state_of(seeded(ThirdPartyLPRNet(22))),
        "has 22 classes, the blank included, and no known alphabet has as many",
    ),
    "one width against the others": (
        lambda state: {**state, "backbone.8.block.2.weight": torch.zeros(60, 64, 3, 1)},
        "is no LPRNet checkpoint: its backbone.8.block.2.bias has shape (64,) where its other "
        "tensors ask for (60,)",
    ),
    "four channels": (
        lambda state: {**state, "backbone.0.weight": torch.zeros(64, 4, 3, 3)},
        "its backbone.0 reads 4 channels; an image has 1 or 3",
    ),
    "a number for a tensor of terabytes": (
        lambda state: {**state, "backbone.0.weight": torch.zeros(1).expand(64, 3, 3, 2**40)},
        "holds more numbers than an LPRNet",
    ),
}


@pytest.mark.parametrize("row", REFUSED)
def test_refused_by_one_sentence(row: str, tmp_path: Path) -> None:
    change, sentence = REFUSED[row]
    path = saved(tmp_path / "m.pth", change(state_of(seeded(ThirdPartyLPRNet()))))
    with pytest.raises(UserError, match=re.escape(sentence)) as caught:
        load_model(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"<!DOCTYPE html><html></html>", "is a web page, not a checkpoint; download the file"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a pointer to a file in Git LFS"),
    ],
)
def test_other_files_with_the_name_of_a_checkpoint(
    content: bytes, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        load_model(path)


def test_a_program_of_torchscript_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    torch.jit.trace(nn.Conv2d(3, 3, 1), torch.zeros(1, 3, 4, 4)).save(str(path))  # type: ignore[no-untyped-call]
    with pytest.raises(UserError, match=r"needs code to be read \(its own, as TorchScript\)"):
        load_model(path)


def test_an_alphabet_of_another_size_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.pth", state_of(seeded(ThirdPartyLPRNet(37))))
    with pytest.raises(UserError, match="has 37 classes.*china has 68; the known.*are latin"):
        load_model(path, Stated(alphabet="china"))


def test_of_several_alphabets_of_one_size_none_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "m.pth", state_of(seeded(ThirdPartyLPRNet(11))))
    letters = Alphabet("letters", tuple("ABCDEFGHIJ-"), 10)
    monkeypatch.setattr("lprnet.model.alphabets.ALPHABETS", (*ALPHABETS, letters))
    with pytest.raises(UserError, match="as the alphabets digits, letters have; say by --alphabet"):
        load_model(path)
    assert load_model(path, Stated(alphabet="letters")).architecture.alphabet == letters


def test_a_users_alphabet(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.pth", state_of(seeded(ThirdPartyLPRNet(4))))
    file = tmp_path / "mine.txt"
    file.write_text("<blank>\n挂\nＡ\n\n1\n<grammar> [挂Ａ]1+\n", encoding="utf-8")
    alphabet = load_model(path, Stated(alphabet=str(file))).architecture.alphabet
    assert alphabet.characters == ("挂", "Ａ", "1")
    assert (alphabet.name, alphabet.blank) == ("mine", 0)
    assert alphabet.is_plate("挂11")
    assert not alphabet.is_plate("1挂")


def test_names_of_files_as_long_as_they_can_be(tmp_path: Path) -> None:
    """Nothing can lie beside such a checkpoint; what should be an alphabet is longer still."""
    theirs = seeded(ThirdPartyLPRNet(37))
    path = saved(tmp_path / f"{'m' * 251}.pth", state_of(theirs))
    assert load_model(path).architecture.alphabet.name == "latin"
    assert read_confidence(path) is None
    with pytest.raises(UserError, match="there is no alphabet and no file a{300}; give one of"):
        load_model(path, Stated(alphabet="a" * 300))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"0\n1\n", "has 0 lines <blank>"),
        (b"0\n<blank>\n<blank>\n", "has 2 lines <blank>"),
        (b"0\n0\n<blank>\n", "the symbol '0' stands for more than one class"),
        (b"0\n<blank>\n<grammar> [0\n", "a character is missing at character 3"),
        (b"\xff\xfe0", "is not UTF-8"),
        (b"0" * 200_000, "more than 100,000 bytes"),
    ],
)
def test_files_that_are_no_alphabet(content: bytes, problem: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "m.pth", state_of(seeded(ThirdPartyLPRNet(3))))
    file = tmp_path / "mine.txt"
    file.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(problem)) as caught:
        load_model(path, Stated(alphabet=str(file)))
    assert str(caught.value).startswith(str(file))


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("{", "is no JSON"),
        ("[]", "has [] as its content, not an object"),
        ('{"heigth": 24}', "has the field 'heigth', which is none of alphabet, height"),
        ('{"height": 2.5}', "has 2.5 as height, not a whole number from 1 to 4096"),
        (
            '{"backbone": [{"name": "a", "out_channels": 4, "kernel": [3, 3],'
            ' "pool": {"row_repeat": 3}}]}',
            "has 3 as backbone[0].pool.row_repeat, not a whole number from 1 to 2",
        ),
        ('{"height": 10}', "does not fit images of 94x10 (width x height): they are too small"),
        ('{"contexts": [{"kernel": [1, 1]}]}', "lacks the field contexts[0].of"),
        ('{"contexts": [{"of": "head"}]}', "has the context of 'head', which is no convolution"),
        ('{"alphabet": {"name": "a", "symbols": ["0"], "blank": 0}}', "one beside the blank"),
        ('{"contexts": []}', "has no context; the container reads one at least"),
        (
            '{"contexts": [{"of": "backbone.0", "kernel": [5, 5], "stride": [5, 5]},'
            ' {"of": "backbone.4.block.6", "stride": [5, 5]}]}',
            "has a context of backbone.4.block.6 that takes one value of each 5x5",
        ),
        ('{"alphabet": "latin"}', 'has "latin" as alphabet, not an object'),
        ('{"preprocessing": {"order": "grb"}}', "the order of channels is 'grb'"),
        ('{"preprocessing": {"offset": ["a"]}}', 'has "a" as preprocessing.offset, not a number'),
        (
            '{"preprocessing": {"offset": [-1e5]}}',
            "the offset -100000 is out of range; give -10000",
        ),
        ('{"preprocessing": {"offset": [NaN]}}', "has NaN as preprocessing.offset, not a number"),
        ('{"preprocessing": {"scale": [1e-300]}}', "the scale 1e-300 is out of range; give 1e-06"),
        ('{"preprocessing": {"scale": [1, -2e3, 1]}}', "the scale -2000 is out of range"),
        ('{"preprocessing": {"scale": [1e7]}}', "scale, not a number from -1e6 to 1e6"),
        ('{"preprocessing": {"scale": [0]}}', "the scale 0 is out of range"),
        ('{"preprocessing": {"scale": [1, 1]}}', "offset and scale are one number, or three"),
        ('{"name": ' + 2_000_000 * "7", "has over 1,048,576 characters"),
        ('{"contexts": [' + 5000 * "0," + "0]}", "has 5001 layers as contexts, more than 200"),
        ('{"backbone": [' + 5000 * "0," + "0]}", "has 5001 layers as backbone, more than 200"),
    ],
)
def test_files_that_are_no_architecture(said: str, problem: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "m.pth", state_of(seeded(ThirdPartyLPRNet())))
    file = tmp_path / "a.json"
    file.write_text(said)
    with pytest.raises(UserError, match=re.escape(problem)) as caught:
        load_model(path, Stated(architecture=file))
    assert str(caught.value).startswith(str(file))


@pytest.mark.parametrize("begin", ["[", '{"a":'])
def test_an_architecture_nested_up_to_what_the_parser_takes_and_beyond(begin: str) -> None:
    """At some depth a value can still be parsed, and not be quoted in the sentence."""
    end = "]" if begin == "[" else "}"
    for depth in range(700, 1010):
        said = f'{{"width": {begin * depth}1{end * depth}}}'
        with pytest.raises(ValueError, match=r"as width, not a whole|is no JSON|nested too deeply"):
            from_json(said)


SECOND = LPRNET_CHINA.backbone[1]


@pytest.mark.parametrize(
    "name", ["logits", "contexts.0", "", "a..b", "backbone", "backbone.0.bias"]
)
def test_names_that_a_layer_cannot_have(name: str, tmp_path: Path) -> None:
    """Of the module's own attributes, of none, of two layers."""
    state = state_of(seeded(ThirdPartyLPRNet()))
    renamed = {key.replace(f"{SECOND.name}.", f"{name}."): value for key, value in state.items()}
    path = saved(tmp_path / "m.pth", renamed)
    backbone = list(LPRNET_CHINA.backbone)
    backbone[1] = replace(SECOND, name=name)
    file = tmp_path / "a.json"
    file.write_text(to_json(replace(LPRNET_CHINA, backbone=tuple(backbone))))
    with pytest.raises(UserError, match=f"a layer cannot be called '{name}'; give it another"):
        load_model(path, Stated(architecture=file))


@pytest.mark.parametrize(
    ("selection", "problem"),
    [
        (
            tuple(range(1, 65)),
            "its backbone.4.block.0 reads channel 64 of backbone.0, which has 64",
        ),
        ((0,) * 64, "as backbone[1].pool.selection, not numbers of channels that rise"),
        ((), "has [] as backbone[1].pool.selection, not numbers of channels that rise"),
    ],
)
def test_channels_that_no_pool_can_read(
    selection: tuple[int, ...], problem: str, tmp_path: Path
) -> None:
    path = saved(tmp_path / "m.pth", state_of(seeded(ThirdPartyLPRNet())))
    backbone = list(LPRNET_CHINA.backbone)
    backbone[1] = replace(SECOND, pool=MaxPool(selection=selection))
    file = tmp_path / "a.json"
    file.write_text(to_json(replace(LPRNET_CHINA, backbone=tuple(backbone))))
    with pytest.raises(UserError, match=re.escape(problem)):
        load_model(path, Stated(architecture=file))


def test_the_pools_of_sizes_are_those_that_the_family_has() -> None:
    """What `lprnet` chooses for a size is what the files of this test say."""
    for (width, height), pools in SIZES.items():
        contexts = lprnet(CHINA, height, width).contexts
        assert [(one.kernel, one.stride) for one in contexts[:3]] == list(pools)


def test_json_round_trip() -> None:
    for architecture in (lprnet(CHINA), lprnet(CHINA, 48, 96, 1, (32, 64, 128, 128, 128))):
        narrowed = architecture.narrowed({"backbone.0": (0, 3)})
        for one in (architecture, narrowed):
            assert from_json(to_json(one)) == one


def test_what_works_on_rendered_plates_takes_chinas_networks_alone(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.pth", state_of(seeded(ThirdPartyLPRNet(37, channels=1))))
    with pytest.raises(UserError, match="reads 94x24 grey images in the alphabet latin; reports"):
        load_china(path)
    narrow = state_of(seeded(ThirdPartyLPRNet(68, (48, 96, 192, 192, 192))))
    assert load_china(saved(path, narrow)).architecture.alphabet == CHINA
