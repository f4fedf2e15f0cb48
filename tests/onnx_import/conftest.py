"""Files that several tests read: torch's newer exporter takes seconds for each."""

from pathlib import Path

import pytest

from tests.onnx_import.exports import export, exported
from tests.shared_results import SharedResults


def newer_export(form: str, opset: int, batch: int | None, folder: Path) -> Path:
    return export(exported(form), folder / f"newer-{form}.onnx", opset, batch, dynamo=True)


@pytest.fixture(scope="session")
def newer_files(shared_results: SharedResults) -> dict[str, Path]:
    """Form of the pools to a file: `plain` with an open batch, `planes` with a batch of one."""
    folder = shared_results.folder
    return {
        "plain": shared_results.call(newer_export, "plain", 18, None, folder),
        "planes": shared_results.call(newer_export, "planes", 20, 1, folder),
    }
