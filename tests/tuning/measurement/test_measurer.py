"""A machine that cannot measure is told with its reason, and is no result of a candidate."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from lprnet.compiler.codegen import tvm_target
from lprnet.support.cli import run
from lprnet.support.errors import UserError
from lprnet.tuning.measurement.local import LocalMeasurer
from lprnet.tuning.measurement.measurer import CHECKED, check_measurer
from lprnet.tuning.measurement.runner import finished
from tests.processes import SECONDS, forked_group
from tests.tuning.conftest import TARGET, Small


def check_machine(folder: Path, environment: Mapping[str, str]) -> None:
    """What a command does before it tunes."""

    def check() -> None:
        with LocalMeasurer() as measurer:
            check_measurer(measurer, tvm_target(TARGET), folder)
        print("measured", flush=True)

    os.environ.update(environment)
    run(check)


def checked(folder: Path, **environment: str) -> tuple[int | None, str]:
    """Its exit code and what it prints."""
    output = folder / "output"
    with forked_group(check_machine, (folder, environment), output) as process:
        code = process.wait(SECONDS)
    return code, output.read_text()


@pytest.mark.isa("broadwell")
@pytest.mark.parametrize(
    ("linker", "sentence"),
    [
        (None, "No kernel can be built here: FileNotFoundError: [Errno 2] No such file or "),
        ("echo no space >&2; exit 1", "No kernel can be built here: RuntimeError: no space; "),
        ("echo text > $3", "No kernel can be measured: "),
    ],
    ids=["no linker", "a linker that fails", "a library that cannot be loaded"],
)
def test_a_machine_that_cannot_measure(linker: str | None, sentence: str, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    if linker is not None:
        (programs / "ld").write_text(f"#!/bin/sh\n{linker}\n")
        (programs / "ld").chmod(0o755)
    code, told = checked(tmp_path, PATH=str(programs))
    assert told.startswith(f"error: {sentence}")
    assert told.count("\n") == 1
    assert code == 2


@pytest.mark.isa("broadwell")
def test_a_temporary_folder_without_programs(tmp_path: Path) -> None:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    folders = [
        folder
        for _, folder, kind, options, *_ in mounts
        if kind == "tmpfs" and "noexec" in options.split(",") and os.access(folder, os.W_OK)
    ]
    if not folders:
        pytest.skip("no file system here is writable and mounted noexec")
    code, told = checked(tmp_path, TMPDIR=folders[0])
    assert "No kernel can be measured: " in told
    assert f"files are in {folders[0]}, so set TMPDIR to a folder from which programs" in told
    assert code == 2


@pytest.mark.isa("broadwell")
def test_a_machine_that_can(tmp_path: Path) -> None:
    assert checked(tmp_path) == (0, "measured\n")


@derived_object
class Builder(ms.builder.PyBuilder):  # type: ignore[misc]
    """Builds nothing; candidates fail, and the kernel that checks the machine if `broken`."""

    def __init__(self, broken: bool) -> None:
        super().__init__()
        self.broken = broken

    def build(self, build_inputs: list[ms.builder.BuilderInput]) -> list[ms.builder.BuilderResult]:
        checked = CHECKED.prim_func()
        return [
            ms.builder.BuilderResult("/x.so", None)
            if not self.broken and str(one.mod["main"].attrs) == str(checked.attrs)
            else ms.builder.BuilderResult(None, "the disk is full")
            for one in build_inputs
        ]


@derived_object
class Runner(ms.runner.PyRunner):  # type: ignore[misc]
    """Whatever was built takes a second."""

    def run(self, runner_inputs: list[ms.runner.RunnerInput]) -> list[ms.runner.RunnerFuture]:
        return [finished(ms.runner.RunnerResult([1.0], None)) for _ in runner_inputs]


@dataclass
class FakeMeasurer:
    """Measures nothing."""

    builder: Builder

    def runner(self, example: Path) -> Runner:
        return Runner()

    def verify(self) -> None:
        """It is there."""


def test_failures_of_the_machine_are_not_the_candidates(small: Small) -> None:
    tuner = small.tuner()
    before = {path.name: path.read_bytes() for path in small.directory.iterdir()}
    with pytest.raises(UserError, match="No kernel can be built here: the disk is full; "):
        tuner.run(8, FakeMeasurer(Builder(broken=True)), lambda added: None)
    assert {path.name: path.read_bytes() for path in small.directory.iterdir()} == before
    tuner.run(4, FakeMeasurer(Builder(broken=False)), lambda added: None)
    assert [trial.error for trial in tuner.trial_log.trials] == ["the disk is full"] * 4
    tuner.trial_log.close()
