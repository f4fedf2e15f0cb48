"""Quantized and pruned builds of the public checkpoint, on its 1000 test images.

Each build is compared with its specification in torch before it is written; here is what it reads.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import tvm

from lprnet.build import NO_TILES, Request, build
from lprnet.commands.dispatch import execute
from lprnet.compiler.network import CompilerInput
from lprnet.compiler.targets import Target
from lprnet.measure.accuracy import evaluate
from lprnet.model.published_lprnet import LPRNET_CHINA
from lprnet.support.errors import UserError
from lprnet.synthetic.render import sample_plates
from lprnet.weights import DEFAULT_CHECKPOINT
from relay_passes.insert_quantize import LayerScales
from tests.conftest import RealData
from tests.prepared import prepared
from tests.shared_results import SharedResults


@pytest.mark.parametrize(
    ("quantized", "pruned", "variant", "correct", "most_bytes", "most_macs"),
    [
        ("static", None, "int8", 899, 200 * 1024, 67e6),
        ("static", "structured", "int8-structured", 899, 150 * 1024, 28e6),
        (None, "structured", "fp32-structured", 899, 350 * 1024, 28e6),
    ],
)
def test_what_a_build_reads(
    quantized: str | None,
    pruned: str | None,
    variant: str,
    correct: int,
    most_bytes: int,
    most_macs: float,
    real_data: RealData,
    tmp_path: Path,
    shared_results: SharedResults,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "lprnet.build.prepare", lambda *arguments: shared_results.call(prepared, *arguments)
    )
    request = Request(
        checkpoint=real_data.checkpoint,
        quantized=quantized,
        pruned=pruned,
        target="native",
        schedule="manual",
        calibration=real_data.images,
        output=tmp_path,
    )
    built, timing = build(request)
    assert built.artifact == tmp_path / f"lprnet-{variant}-native.so"
    assert built.artifact.stat().st_size <= most_bytes
    assert built.manifest.macs <= most_macs
    assert built.parity is not None
    assert built.parity.same_plates == built.parity.images == 100
    assert timing is not None
    read, _ = evaluate(built.artifact, real_data.images)
    assert read.total == 1000
    assert read.correct >= correct


def test_kernels_without_a_schedule_keep_their_tensors_in_the_arena(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They used to ask TVM's own runtime for memory, which an artifact is loaded without. Plain
    loops are slow, so few images are compared and few calls timed.
    """
    monkeypatch.setattr("lprnet.build.LATENCY_ROUNDS", 1)
    photos = tmp_path / "photos"
    photos.mkdir()
    for image, text in sample_plates(3):
        (photos / f"{text}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    request = Request(DEFAULT_CHECKPOINT, None, None, "native", "none", photos, tmp_path)
    built, _ = build(request)
    (compiled,) = built.compiled
    assert {kernel.origin for kernel in compiled.kernels} == {"none"}
    assert built.parity is not None
    assert built.parity.same_plates == built.parity.images


@pytest.mark.parametrize("schedule", ["manual", "hybrid"])
@pytest.mark.parametrize("failure", [KeyboardInterrupt, UserError])
def test_a_build_that_ends_early_leaves_no_folder(
    schedule: str, failure: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> None:
        raise failure

    monkeypatch.setattr("lprnet.compiler.compile.link", end)
    monkeypatch.setattr("lprnet.build.require_measurable", lambda *_: None)
    monkeypatch.setattr("lprnet.compression.calibration.MAX_IMAGES", 10)
    output = tmp_path / "there" / "not"
    (tmp_path / "there").mkdir()
    with pytest.raises(failure):
        build(Request(DEFAULT_CHECKPOINT, None, None, "icelake-server", schedule, None, output))
    assert list((tmp_path / "there").iterdir()) == []


@pytest.mark.parametrize("schedule", ["auto", "hybrid"])
@pytest.mark.parametrize("target", ["skylake-avx512", "cascadelake", "broadwell"])
def test_a_missing_log_is_one_sentence_before_anything_is_compiled(
    target: str, schedule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("lprnet.build.prepare")
    monkeypatch.setattr("lprnet.tuning.apply.LOGS", tmp_path / "logs")  # broadwell's are committed
    folder = tmp_path / "not"
    with pytest.raises(UserError) as refused:
        execute(["build", f"--target={target}", f"--schedule={schedule}", f"--output={folder}"])
    assert str(refused.value) == (
        f"there is no tuning log for {target} fp32; build with --schedule manual, or make a log on "
        f"a CPU that runs {target} code: lprnet tune --target {target}"
    )
    assert not folder.exists()


class Stop(Exception):
    """The compiler was called."""


@pytest.mark.parametrize(
    ("schedule", "quantized", "targets"),
    [
        ("manual", True, ["sapphirerapids", "sapphirerapids-amx"]),
        ("auto", True, ["sapphirerapids"]),
        ("hybrid", True, ["sapphirerapids"]),
        ("auto", False, ["sapphirerapids"]),
    ],
)
def test_a_searched_build_has_no_code_for_tile_registers_and_says_so(
    schedule: str,
    quantized: bool,
    targets: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scales = (LayerScales(np.ones(1), 1.0, 255),) if quantized else ()
    nothing = np.empty((0, 68, 18), np.float32)
    network = CompilerInput(
        "int8", tvm.IRModule({}), (), LPRNET_CHINA, None, scales, lambda _: nothing
    )
    seen: list[tuple[CompilerInput, Sequence[Target]]] = []

    def compiler(network: CompilerInput, targets: Sequence[Target], *_: object) -> None:
        seen.append((network, targets))
        raise Stop

    images = np.zeros((1, 24, 94, 3), np.uint8)
    monkeypatch.setattr("lprnet.build.prepare", lambda *_: (network, images, []))
    monkeypatch.setattr("lprnet.build.require_measurable", lambda *_: None)
    for name in ("compile_network", "compile_fastest"):
        monkeypatch.setattr(f"lprnet.build.{name}", compiler)
    with pytest.raises(Stop):
        build(
            Request(DEFAULT_CHECKPOINT, "static", None, "sapphirerapids", schedule, None, tmp_path)
        )
    ((given, compiled),) = seen
    assert [target.name for target in compiled] == targets
    assert (NO_TILES in given.notes) == (quantized and schedule != "manual")
