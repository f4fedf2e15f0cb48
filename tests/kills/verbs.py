"""Small runs of the verbs that write files, and what their output may hold afterwards."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from lprnet.runtime.artifact import read_artifact, write_artifact
from tests.conftest import PROJECT
from tests.fuzz.checkpoints import CORPUS
from tests.runtime.tiny_artifact import artifact

Check = Callable[[Path], None]


@dataclass(frozen=True)
class Verb:
    """One run; all names in `arguments` are made by `prepare`, in the folder that it is given."""

    arguments: Callable[[Path], list[str]]
    """The verb first, given the folder. Its output goes to `out` in there."""
    check: Check
    """Raises where the output folder, which may not exist, holds anything half-written."""
    prepare: Check = lambda folder: None
    again: tuple[str, ...] = ()
    """What the run that follows a killed one is given besides."""
    goes_on: bool = False
    """It takes a whole output for a job that is done."""
    program: str = "lprnet.commands"
    """The module that is run."""


def _build(folder: Path) -> list[str]:
    checkpoint = str(CORPUS / "narrow.safetensors")
    return ["build", f"--checkpoint={checkpoint}", "--target=broadwell", f"--output={folder}/out"]


def _check_artifact(out: Path) -> None:
    files = names(out)
    assert files in ([], ["lprnet-fp32-broadwell.json", "lprnet-fp32-broadwell.so"]), files
    for path in out.glob("*.so"):
        read_artifact(path)


def _train(folder: Path) -> list[str]:
    return ["train", "--steps=2", "--batch=2", f"--output={folder}/out"]


def _check_run(out: Path) -> None:
    from lprnet.model.checkpoint import load_model

    allowed = {"log.csv", "lprnet.safetensors", "state.pt", "best.safetensors", "plates"}
    assert set(names(out)) <= allowed, names(out)
    for path in out.glob("*.safetensors"):
        load_model(path)


def _bulk(folder: Path) -> list[str]:
    photos, out = str(folder / "photos"), str(folder / "out")
    options = ["--format=csv", "--shard-size=50", f"--artifact={folder}/a.so"]
    return ["bulk", photos, f"--output={out}", *options]


def _prepare_bulk(folder: Path) -> None:
    write_artifact(artifact("A", folder / "a.so"))
    (folder / "photos").mkdir()
    png = cv2.imencode(".png", np.zeros((2, 5, 3), np.uint8))[1].tobytes()
    for number in range(1000):
        (folder / "photos" / f"{number:04}.png").write_bytes(png)


def _check_shards(out: Path) -> None:
    for path in out.glob("shard-*"):
        assert len(path.read_text().splitlines()) == 51, f"{path} is cut short"
    if (out / "_job.json").exists():
        json.loads((out / "_job.json").read_bytes())
    others = [name for name in names(out) if not name.startswith("shard-")]
    assert set(others) <= {"_job.json", "_plan.jsonl"}, others


def _report(folder: Path) -> list[str]:
    record = PROJECT / "docs" / "results" / "report.json"
    out = folder / "out"
    return ["report", f"--from={record}", f"--html={out}/page.html", f"--plot={out}/plot.png"]


def _check_report(out: Path) -> None:
    assert set(names(out)) <= {"page.html", "plot.png"}, names(out)
    for path in out.glob("*.html"):
        assert path.read_text().rstrip().endswith("</html>"), f"{path} is cut short"
    _check_pictures(out)


def _check_pictures(out: Path) -> None:
    for path in out.glob("*.png"):
        assert cv2.imread(str(path)) is not None, f"{path} is cut short"


def _tune(folder: Path) -> list[str]:
    checkpoint = str(CORPUS / "narrow.safetensors")
    return ["tune", "--trials=4", "--target=broadwell", f"--checkpoint={checkpoint}",
            f"--output={folder}/out"]  # fmt: skip


def _check_log(out: Path) -> None:
    for path in out.rglob("*"):
        assert path.is_dir() or path.suffix in (".json", ".jsonl"), path
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            for one in [text] if path.name == "manifest.json" else text.splitlines():
                json.loads(one)


def _sweep(folder: Path) -> list[str]:
    checkpoint, photos = str(CORPUS / "narrow.safetensors"), str(folder / "photos")
    return ["sweep", f"--checkpoint={checkpoint}", f"--calibration={photos}", f"--data={photos}",
            "--budgets=1", f"--plot={folder}/out/plot.png"]  # fmt: skip


def _prepare_sweep(folder: Path) -> None:
    from lprnet.synthetic.render import sample_plates

    (folder / "photos").mkdir()
    for image, text in sample_plates(4):
        content = cv2.imencode(".png", image)[1].tobytes()
        (folder / "photos" / f"{text}.png").write_bytes(content)


def _two_rows(folder: Path) -> list[str]:
    return ["report", f"--checkpoint={folder}/n.safetensors", f"--data={folder}/photos",
            "--repeats=2", f"--work={folder}/work", f"--output={folder}/out"]  # fmt: skip


def _prepare_two_rows(folder: Path) -> None:
    """A narrow network of the alphabet that reports are of, and plates."""
    import torch

    from lprnet.model.checkpoint import load_model, save_model
    from lprnet.model.lprnet import LPRNet
    from lprnet.model.published_lprnet import LPRNET_CHINA

    _prepare_sweep(folder)
    narrow = load_model(CORPUS / "narrow.safetensors").architecture
    torch.manual_seed(0)
    network = LPRNet(replace(narrow, alphabet=LPRNET_CHINA.alphabet))
    save_model(network, folder / "n.safetensors")


def _check_measured(out: Path) -> None:
    """Also every row that was built: it is used again."""
    files = names(out)
    assert all(path.endswith((".json", ".png", ".md")) for path in files), files
    for path in out.glob("*.json"):
        json.loads(path.read_bytes())
    _check_pictures(out)
    for path in (out.parent / "work").glob("*/*/*.so"):
        read_artifact(path)


def names(out: Path) -> list[str]:
    """The files of the folder that are not hidden."""
    return sorted(path.name for path in out.glob("*") if path.name[0] != ".")


VERBS = {
    "build": Verb(_build, _check_artifact),
    "train": Verb(_train, _check_run, again=("--overwrite",)),
    "tune": Verb(_tune, _check_log, goes_on=True),
    "bulk": Verb(_bulk, _check_shards, _prepare_bulk, goes_on=True),
    "sweep": Verb(_sweep, _check_report, _prepare_sweep),
    "report": Verb(_report, _check_report),
    "two-rows": Verb(_two_rows, _check_measured, _prepare_two_rows, program="tests.kills.two_rows"),
}
