"""A log's manifest, and the refusal of trials that are not comparable."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lprnet.support.errors import UserError
from lprnet.tuning.log.manifest import LogManifest, read_manifest, refuse_to_mix, write_manifest

MANIFEST = LogManifest(
    target="broadwell",
    variant="fp32",
    networks=("a.safetensors abab",),
    tvm="0.27.0",
    cpu="Xeon",
    passes=("FoldBatchNorm", "LowerToKernels"),
    kernels=("1 x Conv2d()",),
    seed=1,
    trials=0,
    valid=0,
    seconds=0.0,
    stopped_early=None,
)


def test_round_trip(tmp_path: Path) -> None:
    write_manifest(MANIFEST, tmp_path)
    assert read_manifest(tmp_path) == MANIFEST
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_progress_and_networks_may_differ(tmp_path: Path) -> None:
    later = replace(MANIFEST.progressed(64, 63, 12.34), networks=("b",), kernels=())
    assert (later.trials, later.valid, later.seconds) == (64, 63, 12.3)
    refuse_to_mix(MANIFEST, later, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"target": "icelake-server"},
        {"variant": "int8"},
        {"tvm": "0.28.0"},
        {"cpu": "EPYC"},
        {"passes": ("LowerToKernels",)},
        {"seed": 2},
    ],
)
def test_refuses_to_mix(tmp_path: Path, change: dict[str, object]) -> None:
    (field,) = change
    with pytest.raises(UserError, match=f"its {field} (is|are) .* --fresh"):
        refuse_to_mix(MANIFEST, replace(MANIFEST, **change), tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 99}', "\x00", "[" * 9999])
def test_damaged(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match="manifest.json: .*--fresh"):
        read_manifest(tmp_path)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no tuning log; tune with lprnet tune first"):
        read_manifest(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("field", "value"),
    [("trials", "many"), ("trials", -1), ("networks", "a"), ("seconds", None), ("tvm", 1)],
)
def test_a_field_of_another_type(tmp_path: Path, field: str, value: object) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**asdict(MANIFEST), field: value}))
    with pytest.raises(UserError, match=rf"manifest.json: is damaged \({field} is no .*--fresh"):
        read_manifest(tmp_path)
