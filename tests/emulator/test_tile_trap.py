"""Whole networks in AMX's machine code on a CPU with AVX-512, tile instructions by a model."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lprnet.compiler.compile import lower_network
from lprnet.compiler.constant_pool import ConstantPool
from lprnet.compiler.link import compile_objects
from lprnet.compiler.targets import AMX, AMX_BF16, Target, find_target
from lprnet.compiler.toolchain import run_compiler
from lprnet.compression.variants import prepare
from lprnet.runtime.artifact import ALIGNMENT
from lprnet.synthetic.render import sample_plates
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.emulator.tile_trap import answer_tiles, can_answer

PLATES = 3
VNNI = find_target("cascadelake")

pytestmark = pytest.mark.skipif(
    not can_answer(AMX_BF16), reason="this CPU lacks AVX-512 or has AMX itself"
)


@pytest.mark.parametrize(
    ("quantized", "pruned", "targets"),
    [
        ("static", None, (VNNI, AMX)),
        ("static", "structured", (VNNI, AMX)),
        ("bf16", "structured", (AMX_BF16,)),
    ],
    ids=["int8", "structured int8", "structured bf16"],
)
def test_the_codes_compute_the_same(
    quantized: str,
    pruned: str | None,
    targets: tuple[Target, ...],
    tmp_path: Path,
    few_calibration_images: None,
) -> None:
    network, *_ = prepare(DEFAULT_CHECKPOINT, None, quantized, pruned)
    images = np.stack([image for image, _ in sample_plates(PLATES)])
    expected = network.expected(images)
    weights = ConstantPool()
    programs = {target: lower_network(network, target, weights).program for target in targets}
    objects = compile_objects(programs, bytes(weights.blob), tmp_path)
    shared = tmp_path / "artifact.so"
    run_compiler(["-shared", "-fPIC", "-o", shared, *objects], tmp_path)
    library, model = ctypes.CDLL(str(shared)), answer_tiles()

    def logits(target: Target) -> NDArray[np.float32]:
        program = programs[target]
        out = np.full((PLATES, *program.logits_shape), np.nan, np.float32)
        arena = np.full(program.arena_bytes + ALIGNMENT, 255, np.uint8)
        arena = arena[-arena.ctypes.data % ALIGNMENT :]
        addresses = [ctypes.c_void_p(array.ctypes.data) for array in (images, out, arena)]
        library[target.function](addresses[0], ctypes.c_int64(PLATES), *addresses[1:])
        _, classes, positions = expected.shape
        used: NDArray[np.float32] = out[:, 0, :positions, :classes].transpose(0, 2, 1)
        return used

    faults, answered = model.model_faults(), model.trap_answered()
    *vnni, found = (logits(target) for target in targets)
    assert model.model_faults() == faults
    assert model.trap_answered() > answered + 1000 * PLATES
    for other in vnni:
        np.testing.assert_array_equal(found.view(np.int32), other.view(np.int32))
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert error <= network.max_error
