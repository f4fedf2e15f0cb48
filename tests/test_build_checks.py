"""What build, tune and compare know before calibration, a search of widths and training, they say
before them.

The expensive step is taken away, so a check that comes after it fails with AttributeError.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lprnet.commands.dispatch import execute
from lprnet.compression.prune.quick_search import quick_search
from lprnet.compression.reduced import reduce
from lprnet.compression.variants import prepare, variant_name
from lprnet.model.lprnet import LPRNet
from lprnet.support.errors import UserError
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.third_party_lprnet import ThirdPartyLPRNet, seeded, state_of

DISTILLED = ["build", "--pruned=structured", "--quantized=static", "--distill=1000"]


def _no_log(patched: pytest.MonkeyPatch, folder: Path) -> tuple[list[str], str]:
    patched.setattr("lprnet.tuning.apply.LOGS", folder / "logs")
    return [
        "--target=broadwell",
        "--schedule=auto",
    ], "there is no tuning log for broadwell int8-structured; build with --schedule manual"


def _another_cpu(patched: pytest.MonkeyPatch, _: Path) -> tuple[list[str], str]:
    patched.setattr("lprnet.compiler.targets.cpu_flags", lambda: frozenset({"avx2"}))
    flags = ["--target=icelake-server", "--schedule=hybrid"]
    return flags, "cannot run icelake-server code; a hybrid build measures it"


def _no_compiler(patched: pytest.MonkeyPatch, _: Path) -> tuple[list[str], str]:
    patched.setenv("CC", "/nowhere/cc")
    return [], "The C compiler /nowhere/cc cannot be started"


def _full_disk(patched: pytest.MonkeyPatch, folder: Path) -> tuple[list[str], str]:
    patched.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    return [], f"{folder / 'out'}: cannot be written (No space left on device; it takes up to 8 MB)"


def _no_room_for_onnx(patched: pytest.MonkeyPatch, folder: Path) -> tuple[list[str], str]:
    here = Path(shutil.__file__).parents[0]
    usage = shutil.disk_usage

    def small(place: Path) -> object:
        full = Path(place).is_relative_to(folder / "small")
        return shutil._ntuple_diskusage(10, 10, 0) if full else usage(here)

    (folder / "small").mkdir()
    patched.setattr(shutil, "disk_usage", small)
    return [f"--onnx={folder}/small/a.onnx"], f"{folder}/small/a.onnx: cannot be written (No space"


def _damaged_confidence(_: pytest.MonkeyPatch, folder: Path) -> tuple[list[str], str]:
    copy = folder / "mine.safetensors"
    shutil.copy(DEFAULT_CHECKPOINT, copy)
    Path(f"{copy}.confidence.json").write_text("{")
    return [f"--checkpoint={copy}"], f"{copy}.confidence.json"


@pytest.mark.parametrize(
    "situation",
    [_no_log, _another_cpu, _no_compiler, _full_disk, _no_room_for_onnx, _damaged_confidence],
)
def test_a_build_is_refused_before_any_work(
    situation: Callable[[pytest.MonkeyPatch, Path], tuple[list[str], str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flags, sentence = situation(monkeypatch, tmp_path)
    monkeypatch.delattr("lprnet.build.prepare")
    with pytest.raises(UserError) as refused:
        execute([*DISTILLED, f"--output={tmp_path}/out", *flags])
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_tuning_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr("lprnet.tuning.tune.prepare")
    command = ["tune", f"--output={tmp_path}/logs", "--trials=1"]
    with pytest.raises(UserError, match="no tracker answers there"):
        execute([*command, "--tracker=127.0.0.1:9", "--key=xeon"])
    monkeypatch.setattr("lprnet.compiler.targets.cpu_flags", lambda: frozenset({"avx2"}))
    with pytest.raises(UserError, match="cannot run icelake-server code"):
        execute([*command, "--target=icelake-server"])
    assert not (tmp_path / "logs").exists()


def test_a_comparison_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr("lprnet.reports.schedule_comparison.compare.prepare")
    with pytest.raises(UserError, match="there is no tuning log for"):
        execute(["compare", "--pruned=structured", "--quantized", f"--logs={tmp_path}"])


@pytest.mark.parametrize("flag", ["--output", "--onnx", "--dump", "--target", "--alphabet"])
def test_what_arguments_cannot_be_is_said_before_any_work(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("lprnet.compression.variants.calibrate", None)
    with pytest.raises((SystemExit, UserError)):
        execute([*DISTILLED, f"--output={tmp_path}/out", f"{flag}={tmp_path}/file/a.onnx"])
    assert not (tmp_path / "out").exists()


def test_a_cache_that_cannot_be_written_is_said_before_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.delattr("lprnet.compression.variants.kept_to_train")
    with pytest.raises(UserError, match=r"file/lprnet/distilled: cannot be written"):
        execute([*DISTILLED, f"--output={tmp_path}/out"])


def test_an_impossible_budget_is_said_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = LPRNet(context_means=(1.0,) * 4).eval()
    monkeypatch.delattr("lprnet.compression.prune.quick_search.errors_alone")
    with pytest.raises(UserError, match="no narrower layers lead to 0.1 million"):
        quick_search(reduce(model), torch.zeros(1, 3, 24, 94), "int8", 100_000)


@pytest.mark.parametrize(
    ("quantized", "pruned"),
    [(None, None), ("weights", "unstructured"), ("static", "structured")],
)
def test_the_variant_is_known_before(
    quantized: str | None, pruned: str | None, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "narrow.pth"
    torch.save(state_of(seeded(ThirdPartyLPRNet(68, widths=(16, 64, 64, 64, 32)))), checkpoint)
    network, *_ = prepare(checkpoint, None, quantized, pruned)
    assert variant_name(checkpoint, None, quantized, pruned) == network.variant
