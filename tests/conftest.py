"""What tests may lack: the public checkpoint and its 1000 real plates, and CPU instructions."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from lprnet.compiler.targets import find_target
from lprnet.compression.same_sums import same_sums_on_every_cpu
from lprnet.runtime.cpu import cpu_flags
from tests.shared_results import SharedResults

PROJECT = Path(__file__).resolve().parents[1]

same_sums_on_every_cpu()  # as in a build: bars of accuracy are the same on every machine

# On a busy machine an example can take any time; pytest's own limit ends what hangs.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@dataclass(frozen=True)
class RealData:
    """`checkpoint` is the public `.pth`; `images` the directory of `<label>.jpg` files."""

    checkpoint: Path
    images: Path


@pytest.fixture(scope="session")
def shared_results(tmp_path_factory: pytest.TempPathFactory) -> SharedResults:
    """For all processes of this session, whose folders of temporary files have one parent."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    (folder / "shared-results").mkdir(exist_ok=True)
    return SharedResults(folder / "shared-results")


@pytest.fixture(scope="module")
def few_calibration_images() -> Iterator[None]:
    """Builds whose accuracy is not asked for calibrate and compare on 10 images instead of 100."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lprnet.compression.calibration.MAX_IMAGES", 10)
        yield


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


def pytest_configure(config: pytest.Config) -> None:
    """`isa(target)` marks a test that runs code for `target` (a row of
    `lprnet/compiler/targets.py`); `emulator` one that runs on an emulated CPU.
    """
    config.addinivalue_line("markers", "isa(target): runs machine code compiled for this target")
    config.addinivalue_line("markers", "emulator: runs in Bochs, for minutes (.ci/emulate)")
    # Processes of tests compile the project once, not each anew: half a second of each build.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    processes = getattr(config.option, "numprocesses", None)
    if processes:
        # Their share of the cores each: threads that wait for a core spin, which trebles the CPU
        # time of quantization. Set before any process imports torch.
        share = len(os.sched_getaffinity(0)) // processes
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this CPU cannot run."""
    for marker in item.iter_markers("isa"):
        (name,) = marker.args
        missing = sorted(set(find_target(name).flags) - cpu_flags())
        if missing:
            pytest.skip(f"this CPU cannot run {name} code: it lacks {', '.join(missing)}")
