"""The public checkpoint and its 1000 real plates, for the tests that need them."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class RealData:
    """`checkpoint` is the public `.pth`; `images` the directory of `<label>.jpg` files."""

    checkpoint: Path
    images: Path


@pytest.fixture(scope="session")
def real_data() -> RealData:
    """The real data beside the project; without it a test is skipped, and fails in CI."""
    root = PROJECT.parent / "shared" / "lprnet_pytorch"
    data = RealData(root / "Final_LPRNet_model.pth", root / "test")
    if not (data.checkpoint.is_file() and data.images.is_dir()):
        reason = "the public checkpoint and test images are not at ../shared/lprnet_pytorch"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return data
