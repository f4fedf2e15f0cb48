"""Files that several tests read: torch's newer exporter takes seconds for each."""

from pathlib import Path

import pytest

from tests.onnx_import.exports import export, exported


@pytest.fixture(scope="session")
def newer_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Form of the pools to a file: `plain` with an open batch, `planes` with a batch of one."""
    folder = tmp_path_factory.mktemp("newer")
    return {
        "plain": export(exported("plain"), folder / "plain.onnx", 18, None, dynamo=True),
        "planes": export(exported("planes"), folder / "planes.onnx", 20, 1, dynamo=True),
    }
