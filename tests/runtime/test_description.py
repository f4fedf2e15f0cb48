"""`lprnet inspect`: what the manifest holds, in words and as JSON; no code of an artifact runs."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from lprnet.commands.dispatch import execute
from lprnet.runtime.alphabet import CHINA
from lprnet.runtime.artifact import Artifact, manifest_path, read_manifest, write_artifact
from lprnet.runtime.description import as_text, description
from lprnet.runtime.image_format import PUBLISHED
from lprnet.runtime.manifest import KernelRecord, Manifest, Parity, TargetVersion
from lprnet.support.errors import UserError


def version(target: str, flags: tuple[str, ...]) -> TargetVersion:
    kernels = (
        KernelRecord("normalise_24x94x3", 0, "manual", "1 vector"),
        KernelRecord("conv3x3_22x92_3to33", 1_800_000, "auto", "1x2"),
    )
    shape = (1, 18, 72)
    parity = Parity(images=10, relative_error=1e-6, same_plates=9)
    return TargetVersion(
        target, f"run_{target}", flags, 4096, shape, ("FoldBatchNorm",), kernels, parity
    )


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A file that its manifest describes; its second version needs a CPU that does not exist."""
    path = tmp_path / "lprnet-fp32-portable.so"
    content = b"code" * 512
    manifest = Manifest(
        variant="fp32",
        target="portable",
        target_versions=(version("broadwell", ("sse2",)), version("future", ("sse2", "avx9000"))),
        artifact_sha256=hashlib.sha256(content).hexdigest(),
        image=PUBLISHED,
        alphabet=CHINA,
        checkpoint="mine.pth",
        checkpoint_sha256="ab" * 32,
        context_means=(1.0, 1.0, 1.0, 1.0),
        calibration=("a.jpg", "b.jpg"),
        macs=66_100_000,
        built_with={"apache-tvm": "0.27"},
    )
    write_artifact(Artifact(path, content, manifest))
    return path


def test_text_says_that_tile_registers_are_granted(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(artifact)
    plain, amx = version("plain", ("sse2",)), version("amx", ("sse2", "amx_tile"))
    write_artifact(
        Artifact(artifact, artifact.read_bytes(), replace(manifest, target_versions=(plain, amx)))
    )
    monkeypatch.setattr(
        "lprnet.runtime.artifact.cpu_flags", lambda: frozenset(["sse2", "amx_tile"])
    )
    answers = [
        line.split(None, 2)[2] for line in as_text(artifact).splitlines() if "runs here" in line
    ]
    assert answers == ["yes", "yes, in processes that Linux gives tile registers"]


def test_text_names_what_a_reader_asks_for(artifact: Path) -> None:
    lines = as_text(artifact).splitlines()
    assert lines[0] == str(artifact)
    facts = dict(line.strip().split("  ", 1) for line in lines[1:10])
    assert facts["size"].strip() == "2 KiB"
    assert facts["work"].strip() == "66.1 MMAC a plate"
    assert facts["reads"].strip() == "94x24 BGR, stretch"
    assert facts["calibration"].strip() == "2 images"
    assert [line for line in lines if line.endswith(" code")] == ["broadwell code", "future code"]
    runs = [line.split("  ")[-1].strip() for line in lines if line.startswith("  runs here")]
    assert runs == ["yes", "no, this CPU lacks avx9000"]
    (row, _) = [line.split() for line in lines if "conv3x3" in line]
    assert row == ["conv3x3_22x92_3to33", "1.80", "auto", "1x2"]


def test_newlines_in_names_start_no_line(artifact: Path) -> None:
    there = artifact.parent / "two\nlines"
    there.mkdir()
    content, manifest = artifact.read_bytes(), read_manifest(artifact)
    copied = replace(manifest, checkpoint="my\nweights.pth")
    write_artifact(Artifact(there / artifact.name, content, copied))
    lines = as_text(there / artifact.name).splitlines()
    assert lines[0] == f"{artifact.parent}/two\\nlines/{artifact.name}"
    assert len(lines) == len(as_text(artifact).splitlines())
    assert [line for line in lines if r"  my\nweights.pth, SHA-256" in line]


def test_columns_are_aligned(artifact: Path) -> None:
    lines = as_text(artifact).splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("  kernel"))
    start = lines[first].index("schedule")
    assert lines[first + 1][start:].startswith("manual")
    assert lines[first + 2][start:].startswith("auto")
    assert not any(line != line.rstrip() for line in lines)


def test_json_has_the_whole_manifest(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["inspect", str(artifact), "--json"]) is None
    shown = json.loads(capsys.readouterr().out)
    stored = json.loads(manifest_path(artifact).read_text("utf-8"))
    for one, missing in zip(shown["target_versions"], ([], ["avx9000"]), strict=True):
        assert one.pop("missing_cpu_features") == missing
    assert shown.pop("artifact") == str(artifact)
    assert shown.pop("bytes") == 2048
    del stored["format"], stored["digest"]
    assert shown == stored


def test_altered_artifact_is_refused(artifact: Path) -> None:
    artifact.write_bytes(artifact.read_bytes() + b"!")
    for look in (as_text, description):
        with pytest.raises(UserError, match="not the file its manifest describes"):
            look(artifact)
