"""A whole network in bf16 on a model of the tile instructions, on any CPU with AVX2."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import tvm
from numpy.typing import NDArray

from lprnet.compiler.compile import lower_network
from lprnet.compiler.constant_pool import ConstantPool
from lprnet.compiler.link import compile_objects
from lprnet.compiler.network import CompilerInput
from lprnet.compiler.targets import AMX_BF16, Target, find_target
from lprnet.compiler.toolchain import run_compiler
from schedules.apply import KernelReport, kernels, schedule
from tests.schedules.amx.tile_model import library, on_any_cpu


def logits_on_the_model(
    network: CompilerInput, images: NDArray[np.uint8], folder: Path
) -> NDArray[np.float32]:
    """`(N, 1, positions, padded classes)` of `images` `(N, H, W, 3)`, as the artifact stores them.

    The memory between the kernels holds NaN before.
    """
    target = replace(find_target("broadwell"), isa=AMX_BF16.isa)
    weights = ConstantPool()
    program = lower_network(network, target, weights, _on_the_model).program
    objects = compile_objects({target: program}, bytes(weights.blob), folder)
    shared = folder / "on_model.so"
    run_compiler(["-shared", "-fPIC", "-o", shared, *objects], folder)
    run = tvm.runtime.load_module(str(shared)).get_function(target.function)
    logits = tvm.runtime.tensor(np.zeros((len(images), *program.logits_shape), np.float32))
    arena = tvm.runtime.tensor(np.full(program.arena_bytes // 4, np.nan, np.float32))
    faults = library().model_faults()
    run(tvm.runtime.tensor(images), logits, arena)
    assert library().model_faults() == faults
    found: NDArray[np.float32] = logits.numpy()
    return found


def _on_the_model(module: tvm.IRModule, _: Target) -> tuple[tvm.IRModule, list[KernelReport]]:
    """Every kernel scheduled for AMX, its instructions replaced by their model."""
    library()
    scheduled = tvm.IRModule(dict(module.functions.items()))
    for variable, workload in kernels(module):
        function, _tile = schedule(workload, AMX_BF16.isa)
        scheduled.update_func(variable, on_any_cpu(function))
    return scheduled, []
