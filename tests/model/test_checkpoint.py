"""Checkpoints: every accepted form loads the same model, every wrong file is one sentence."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from lprnet.model.checkpoint import load_model, save_model
from lprnet.model.conv_graph import weight_and_bias
from lprnet.model.lprnet import LPRNet
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.support.errors import UserError
from tests.conftest import RealData

State = dict[str, Any]


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return LPRNet().state_dict()


def save(path: Path, content: object, *, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def assert_loads(path: Path, state: dict[str, Tensor]) -> None:
    model = load_model(path)
    assert not model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name


FORMS: dict[str, Callable[[State], object]] = {
    "bare": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state, "optimizer": {}},
    "nested": lambda state: {"state_dict": {"model": state}},
    "module prefix": lambda state: {f"module.{name}": value for name, value in state.items()},
    "no counters": lambda state: {
        name: value for name, value in state.items() if not name.endswith("num_batches_tracked")
    },
    "float64": lambda state: {name: value.double() for name, value in state.items()},
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_accepted_forms(form: str, legacy: bool, state: dict[str, Tensor], tmp_path: Path) -> None:
    assert_loads(save(tmp_path / "m.pth", FORMS[form](state), legacy=legacy), state)


def test_safetensors_round_trip_keeps_every_bit(state: dict[str, Tensor], tmp_path: Path) -> None:
    model = LPRNet()
    model.load_state_dict(state)
    with torch.no_grad():
        weight_and_bias(model, "backbone.0")[0][0, 0, 0, 0] = 1e-41
    path = tmp_path / "m.safetensors"
    save_model(model, path)
    assert_loads(path, model.state_dict())
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.safetensors"]


def test_running_variance_of_zero_is_valid(state: dict[str, Tensor], tmp_path: Path) -> None:
    changed = {**state, "backbone.1.running_var": torch.zeros(64)}
    assert_loads(save(tmp_path / "m.pth", changed), changed)


def with_value(name: str, value: float) -> Callable[[State], object]:
    def change(state: State) -> object:
        tensor = state[name].clone()
        tensor.view(-1)[-1] = value
        return {**state, name: tensor}

    return change


def without(*names: str) -> Callable[[State], object]:
    return lambda state: {name: value for name, value in state.items() if name not in names}


WRONG: dict[str, tuple[Callable[[State], object], str]] = {
    "a list": (lambda state: [1, 2], "holds a list, not a state dict"),
    "a tensor": (lambda state: torch.zeros(3), "holds a Tensor, not a state dict"),
    "numbered": (lambda state: {1: torch.zeros(3)}, "holds a dict, not a state dict"),
    "empty dict": (
        lambda state: {},
        "lacks 56 of LPRNet's 56 tensors, the first being backbone.0.weight",
    ),
    "two missing": (
        without("backbone.4.block.0.bias", "container.0.bias"),
        "lacks 2 of LPRNet's 56 tensors, the first being backbone.4.block.0.bias",
    ),
    "unknown": (
        lambda state: {**state, "head.weight": torch.zeros(1)},
        "1 tensors that LPRNet does not have, the first being head.weight",
    ),
    "shape": (
        lambda state: {**state, "container.0.weight": torch.zeros(70, 516, 1, 1)},
        "has 70 classes, the blank included, and no known alphabet has as many",
    ),
    "integers": (
        lambda state: {**state, "container.0.bias": torch.zeros(68, dtype=torch.int32)},
        "container.0.bias is torch.int32, not a floating-point tensor",
    ),
    "no tensor": (
        lambda state: {**state, "container.0.bias": 3.0},
        "container.0.bias is float, not a floating-point tensor",
    ),
    "NaN": (with_value("backbone.0.weight", float("nan")), "backbone.0.weight holds NaN"),
    "infinity": (with_value("container.0.bias", float("inf")), "container.0.bias holds NaN or inf"),
    "too large for float32": (
        lambda state: {**state, "container.0.bias": torch.full((68,), 1e300, dtype=torch.double)},
        "container.0.bias holds NaN or infinity",
    ),
    "variance": (with_value("backbone.5.running_var", -1e-30), "running_var holds a negative"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_content(case: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    change, message = WRONG[case]
    path = save(tmp_path / "m.pth", change(state))
    with pytest.raises(UserError, match=message) as caught:
        load_model(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["M.SAFETENSORS", "M.PTH", "m.Pt", "m.tar", "m"])
def test_endings_in_capitals_and_endings_of_pickles(
    name: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / name
    if path.suffix == ".SAFETENSORS":
        save_file(state, path)
    else:
        save(path, state)
    assert_loads(path, state)


def test_wrong_safetensors(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"x": torch.zeros(3)}, path)
    with pytest.raises(UserError, match="lacks 56 of"):
        load_model(path)


class Dangerous:
    """Unpickling this would make a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.victim),)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    victim = tmp_path / "made by the pickle"
    path = tmp_path / "m.pth"
    path.write_bytes(pickle.dumps(Dangerous(victim)))
    with pytest.raises(UserError, match="not a readable checkpoint"):
        load_model(path)
    save(path, Dangerous(victim))
    with pytest.raises(UserError, match="code of a checkpoint is never run"):
        load_model(path)
    assert not victim.exists()


def test_unreadable_paths(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no checkpoint file"):
        load_model(tmp_path / "absent.pth")
    with pytest.raises(UserError, match="there is no checkpoint file"):
        load_model(tmp_path)
    with pytest.raises(UserError, match="File name too long"):
        load_model(tmp_path / ("x" * 300 + ".pth"))
    empty = tmp_path / "empty.pth"
    empty.touch()
    with pytest.raises(UserError, match="is empty"):
        load_model(empty)
    huge = tmp_path / "huge.pth"
    with huge.open("wb") as file:
        file.truncate(200 * 2**20)
    with pytest.raises(UserError, match="has 200 MiB"):
        load_model(huge)


def test_a_small_file_that_unpacks_to_a_large_one_is_not_unpacked(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    """PyTorch unpacks what it did not pack: a thousand times the bytes of the file."""
    with zipfile.ZipFile(save(tmp_path / "whole.pth", state)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    longest = max(members, key=lambda name: len(members[name]))
    packed = tmp_path / "packed.pth"
    for more, message in ((0, None), (200 * 2**20, r"packed\.pth unpacks to 20\d MiB")):
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content + bytes(more if name == longest else 0))
        if message is None:
            assert_loads(packed, state)
            continue
        assert packed.stat().st_size < 3 * 2**20
        with pytest.raises(UserError, match=message):
            load_model(packed)


def test_a_header_of_very_many_tensors_is_not_read(tmp_path: Path) -> None:
    """Each would become an object: ten seconds and a gigabyte for 40 MB."""
    path = tmp_path / "many.safetensors"
    save_file({f"t{number}": torch.zeros(()) for number in range(40_000)}, path)
    with pytest.raises(UserError, match=r"many\.safetensors has more tensors than an LPRNet"):
        load_model(path)


def doubled(times: int, end: bytes) -> bytes:
    """A tuple that holds the one before it twice, as the key of a dictionary or otherwise."""
    pickled = b"\x80\x02)q\x00"
    for number in range(times):
        pickled += b"h%ch%c\x86q%c" % (number, number, number + 1)
    return pickled + end % times


HOSTILE = {
    "a hash that takes hours": doubled(45, b"}h%cK\x01s."),
    "a list of such": doubled(45, b"](h%ce."),
    "a gigabyte": b"\x80\x02cbuiltins\nbytearray\nJ\x00\x00\x00\x40\x85R.",
    "half a million values": b"\x80\x02](" + b"N" * 500_000 + b"e.",
    "a state dict in itself": b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.",
    "nothing on its stack": b"\x80\x02\x86.",
    "nothing in its memo": b"\x80\x02h\x07.",
    "no end": b"\x80\x02}",
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("what", HOSTILE)
def test_a_pickle_of_some_bytes_takes_no_time_and_no_memory(
    what: str, legacy: bool, tmp_path: Path
) -> None:
    """PyTorch loads each of them, for hours or into all memory, or its content has no end."""
    path = save(tmp_path / "m.pth", {}, legacy=legacy)
    if legacy:
        content = path.read_bytes()
        assert content.count(pickle.dumps({}, 2)) == 1
        path.write_bytes(content.replace(pickle.dumps({}, 2), HOSTILE[what]))
    else:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, HOSTILE[what] if name.endswith("data.pkl") else content)
    with pytest.raises(UserError, match=r"m\.pth (is not a readable|holds under the keys 'model')"):
        load_model(path)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(64).to_sparse(),
        torch.ones(64, 1).to_sparse_csr(),
        torch.ones(64, device="meta"),
        torch.nested.nested_tensor([torch.ones(3), torch.ones(2)]),
        torch.zeros(64, dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
        torch.ones(64, dtype=torch.complex64),
        torch.ones(1).expand(1 << 40),
    ],
    ids=["sparse", "rows", "meta", "nested", "4 bits", "complex", "one number"],
)
def test_a_tensor_of_another_sort_is_one_sentence(
    tensor: Tensor, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = save(tmp_path / "m.pth", {**state, "backbone.0.bias": tensor})
    with pytest.raises(UserError, match=r"m\.pth(: backbone\.0\.bias is| holds more)") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("legacy", [False, True])
def test_truncated_anywhere(
    suffix: str, legacy: bool, state: dict[str, Tensor], tmp_path: Path
) -> None:
    whole = tmp_path / f"whole{suffix}"
    if suffix == ".pth":
        save(whole, state, legacy=legacy)
    else:
        save_file(state, whole)
    content = whole.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    for length in (1, 7, 8, 100, 5000, len(content) // 2, len(content) - 100, len(content) - 1):
        cut.write_bytes(content[:length])
        with pytest.raises(UserError, match="not a readable checkpoint"):
            load_model(cut)


@given(
    content=st.binary(min_size=1, max_size=200), suffix=st.sampled_from([".pth", ".safetensors"])
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_one_sentence(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_save_to_an_unwritable_place_leaves_nothing(tmp_path: Path) -> None:
    model = LPRNet()
    with pytest.raises(UserError, match="cannot be written"):
        save_model(model, Path(__file__) / "m.safetensors")
    occupied = tmp_path / "m.safetensors"
    occupied.mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        save_model(model, occupied)
    assert list(tmp_path.iterdir()) == [occupied]


def test_public_checkpoint(real_data: RealData, tmp_path: Path) -> None:
    model = load_model(real_data.checkpoint)
    assert sum(parameter.numel() for parameter in model.parameters()) == 446_976
    weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    # Compared as bits: arithmetic may take subnormals for 0.
    magnitude = weights.view(torch.int32) & 0x7FFFFFFF
    subnormal = ((magnitude > 0) & (magnitude < 0x00800000)).sum().item()
    assert subnormal > 100_000, "a third of the public weights are subnormal and must stay so"
    save_model(model, tmp_path / "m.safetensors")
    assert_loads(tmp_path / "m.safetensors", model.state_dict())


@pytest.mark.parametrize("before", [False, True])
def test_subnormals_are_flushed_for_a_while_only(before: bool) -> None:
    """A build once left the flag on, and later arithmetic in the process lost its subnormals."""
    # Made of bits: where ONNX Runtime has set the flag before, converting 1e-39 gives 0.
    subnormal = torch.tensor([1000], dtype=torch.int32).view(torch.float32)
    torch.set_flush_denormal(before)
    try:
        with subnormals_as_zero():
            assert float(subnormal * 1) == 0
        assert (float(subnormal * 1) == 0) is before
    finally:
        torch.set_flush_denormal(False)
