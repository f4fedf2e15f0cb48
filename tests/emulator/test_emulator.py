"""Every target's code, executed on an emulated CPU of its kind and natively where that is possible.

Both must agree bit for bit, and closely with what `CompilerInput.expected` says.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tvm
from numpy.typing import NDArray

from lprnet.compiler.compile import Lowered, lower_network
from lprnet.compiler.constant_pool import ConstantPool
from lprnet.compiler.link import compile_objects
from lprnet.compiler.network import CompilerInput
from lprnet.compiler.targets import AMX, AMX_BF16, TARGETS, Target, find_target
from lprnet.compiler.toolchain import run_compiler
from lprnet.compression.calibration import rendered_images
from lprnet.compression.variants import prepare
from lprnet.runtime.cpu import cpu_flags
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.emulator.bochs import (
    ALL_STATE,
    AVX512_STATE,
    AVX_STATE,
    cpu_models,
    emulate,
    missing_programs,
)
from tests.schedules.amx.network_on_model import logits_on_the_model

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(
        bool(missing_programs()), reason=f"not installed: {', '.join(missing_programs())}"
    ),
]

PLATES = 2
MODELS = {
    "broadwell": "broadwell_ult",
    "skylake-avx512": "corei7_skylake_x",
    "cascadelake": "corei7_icelake_u",
    "icelake-server": "corei7_icelake_u",
    "sapphirerapids": "corei7_icelake_u",
    AMX.name: "sapphire_rapids",
    AMX_BF16.name: "sapphire_rapids",
}
"""Bochs's CPU model for each target, with its instructions. Before Bochs 3 it knows nothing beyond
Ice Lake that a server has, and would stop at the first instruction that is new in Sapphire Rapids.
Bochs 3 needs bochs.patch.
"""
REFUSED = -95
"""What Linux answers where it gives no tile registers: EOPNOTSUPP."""
ULPS = {None: 64, "static": 8}
"""How far logits may be from the reference, in units in the last place of the largest one: float
sums are taken in another order, and of the integer network only the last layer is in float32.
"""


@dataclass(frozen=True)
class Artifact:
    """One variant with code for every target, as object files and as a shared object."""

    objects: tuple[Path, ...]
    shared: Path
    network: CompilerInput
    lowered: dict[Target, Lowered]
    images: NDArray[np.uint8]
    quantized: str | None

    def natively(self, target: Target) -> NDArray[np.float32]:
        """What this machine computes, `(N, 1, positions, classes)`, one image at a time."""
        program = self.lowered[target].program
        run = tvm.runtime.load_module(str(self.shared)).get_function(target.function)
        found = []
        for image in self.images:
            logits = tvm.runtime.tensor(np.zeros((1, *program.logits_shape), np.float32))
            arena = tvm.runtime.tensor(np.zeros(program.arena_bytes // 4, np.float32))
            run(tvm.runtime.tensor(image[None]), logits, arena)
            found.append(logits.numpy())
        return np.concatenate(found)


@pytest.fixture(scope="module", params=[None, "static", "bf16"], ids=["fp32", "int8", "bf16"])
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("artifact")
    network, _, _ = prepare(DEFAULT_CHECKPOINT, None, request.param)
    weights = ConstantPool()
    targets = (AMX_BF16,) if request.param == "bf16" else (*TARGETS, AMX)
    lowered = {target: lower_network(network, target, weights) for target in targets}
    if AMX in lowered and not lowered[AMX].uses_tiles:
        del lowered[AMX]
    programs = {target: one.program for target, one in lowered.items()}
    objects = compile_objects(programs, bytes(weights.blob), folder)
    shared = folder / "artifact.so"
    run_compiler(["-shared", "-fPIC", "-o", shared, *objects], folder)
    images = rendered_images()[:PLATES]
    return Artifact(objects, shared, network, lowered, images, request.param)


@pytest.fixture(scope="module")
def emulated() -> dict[tuple[Path, str], NDArray[np.float32]]:
    """Logits of an artifact's targets that were emulated already."""
    return {}


def require_model(model: str) -> None:
    if model not in cpu_models():
        pytest.skip(f"this Bochs has no CPU model {model}; docs/targets.md says how to build one")


@pytest.mark.parametrize("name", MODELS)
def test_the_whole_network(
    artifact: Artifact,
    emulated: dict[tuple[Path, str], NDArray[np.float32]],
    name: str,
    tmp_path: Path,
) -> None:
    target = find_target(name)
    if target not in artifact.lowered:
        pytest.skip("this variant has no code for it")
    require_model(MODELS[name])
    program = artifact.lowered[target].program
    outcome = emulate(
        artifact.objects,
        artifact.images,
        program.arena_bytes,
        program.logits_shape,
        MODELS[name],
        tmp_path,
        target.function,
    )
    expected = artifact.network.expected(artifact.images)
    classes, positions = expected.shape[1:]
    logits = outcome.logits[:, 0, :positions, :classes].transpose(0, 2, 1)
    largest = np.abs(expected).max()
    if artifact.quantized == "bf16":
        bound = artifact.network.max_error * largest
    else:
        bound = ULPS[artifact.quantized] * np.spacing(largest)
    assert np.abs(logits - expected).max() <= bound
    if artifact.quantized == "bf16":
        model = tmp_path / "model"
        model.mkdir()
        on_model = logits_on_the_model(artifact.network, artifact.images, model)
        np.testing.assert_array_equal(outcome.logits, on_model)
    assert np.ptp(expected, axis=0).max() > 0.01 * np.abs(expected).max(), "images must matter"
    if cpu_flags().issuperset(target.flags):
        np.testing.assert_array_equal(outcome.logits, artifact.natively(target))
    emulated[artifact.shared, name] = outcome.logits
    for (shared, other), found in emulated.items():
        if shared == artifact.shared and find_target(other).isa.dot4 is target.isa.dot4:
            np.testing.assert_array_equal(outcome.logits, found)


@pytest.mark.parametrize(
    ("model", "state", "target"),
    [
        ("corei5_lynnfield_750", ALL_STATE, None),
        ("corei7_sandy_bridge_2600k", ALL_STATE, None),
        ("corei7_haswell_4770", ALL_STATE, "broadwell"),
        ("corei7_skylake_x", ALL_STATE, "skylake-avx512"),
        ("corei3_cnl", ALL_STATE, "skylake-avx512"),
        ("corei7_icelake_u", ALL_STATE, "icelake-server"),
        ("corei7_icelake_u", AVX_STATE, "broadwell"),
        ("corei7_icelake_u", 0x3, None),
    ],
    ids=[
        "SSE4.2", "AVX", "AVX2", "AVX-512", "Cannon Lake", "VNNI",
        "an operating system below AVX-512", "an operating system below AVX",
    ],
)  # fmt: skip
def test_the_door_gives_each_cpu_its_best_code_or_one_sentence(
    artifact: Artifact, model: str, state: int, target: str | None, tmp_path: Path
) -> None:
    outcome = emulate(
        artifact.objects, artifact.images[:0], 64, (1, 1, 1), model, tmp_path, state=state
    )
    names = [one.name for one in artifact.lowered]
    assert outcome.code == (names.index(target) if target in names else None)
    if outcome.code is None:
        assert outcome.refusal.startswith("This CPU cannot run the artifact, which needs ")
        assert "avx2" in outcome.refusal
        assert outcome.refusal.endswith(".")
        assert "\n" not in outcome.refusal


@pytest.mark.parametrize(
    ("state", "system_call", "granted"),
    [(ALL_STATE, 0, True), (ALL_STATE, REFUSED, False), (AVX512_STATE, 0, False)],
    ids=["granted", "refused", "an operating system below AMX"],
)
def test_tile_registers_are_used_where_they_are_granted(
    artifact: Artifact, state: int, system_call: int, granted: bool, tmp_path: Path
) -> None:
    """Otherwise the artifact's other code reads, if it has other code; called by name, theirs
    refuses in a sentence.
    """
    require_model(MODELS[AMX.name])
    names = [target.name for target in artifact.lowered]
    tiled = [target.name for target in artifact.lowered if target.isa.tiles]
    best = [*(name for name in names if name == "sapphirerapids"), *(tiled if granted else [])]
    empty = artifact.images[:0]
    model = MODELS[AMX.name]
    outcome = emulate(
        artifact.objects, empty, 64, (1, 1, 1), model, tmp_path, "run", state, system_call
    )
    if not best:
        assert outcome.code is None
        assert outcome.refusal.endswith("or this process is given no tile registers (AMX).")
        return
    assert outcome.code is not None
    assert names[outcome.code] == best[-1]
    if AMX in artifact.lowered and not granted:
        program = artifact.lowered[AMX].program
        outcome = emulate(
            artifact.objects,
            artifact.images[:1],
            program.arena_bytes,
            program.logits_shape,
            model,
            tmp_path,
            AMX.function,
            state,
            system_call,
        )
        assert outcome.code is not None
        assert outcome.refusal == "This process is given no tile registers (AMX)."
