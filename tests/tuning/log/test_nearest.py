"""A target without a log of its own takes the nearest one whose code it runs."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lprnet.commands.dispatch import verb_parser
from lprnet.compiler.targets import TARGET_NAMES, TARGETS, find_target
from lprnet.support.errors import UserError
from lprnet.tuning import LOGS
from lprnet.tuning.log.database import write_database
from lprnet.tuning.log.manifest import write_manifest
from lprnet.tuning.log.nearest import open_nearest_log, substitution, tune_command
from tests.tuning.conftest import MANIFEST


def log_of(logs: Path, target: str, variant: str = "fp32") -> None:
    folder = logs / target / variant
    folder.mkdir(parents=True)
    write_database(folder, [], [])
    write_manifest(replace(MANIFEST, target=target, variant=variant), folder)


@pytest.mark.parametrize(
    ("there", "target", "taken"),
    [
        ("icelake-server", "sapphirerapids", "icelake-server"),
        ("cascadelake icelake-server", "sapphirerapids", "icelake-server"),
        ("cascadelake", "sapphirerapids", "cascadelake"),
        ("icelake-server sapphirerapids", "sapphirerapids", "sapphirerapids"),
        ("broadwell icelake-server", "icelake-server", "icelake-server"),
        ("broadwell", "broadwell", "broadwell"),
    ],
)
def test_the_nearest_log_below(there: str, target: str, taken: str, tmp_path: Path) -> None:
    for name in there.split():
        log_of(tmp_path, name)
    log = open_nearest_log(tmp_path, find_target(target), "fp32")
    assert log.manifest.target == taken


@pytest.mark.parametrize(
    ("there", "target"),
    [
        ("icelake-server", "cascadelake"),  # code it cannot run
        ("icelake-server", "broadwell"),
        ("broadwell", "icelake-server"),  # other vectors: no kernel of it is packed alike
        ("broadwell", "skylake-avx512"),
        ("skylake-avx512", "cascadelake"),  # another byte arithmetic
    ],
)
def test_no_log_of_another_kind(there: str, target: str, tmp_path: Path) -> None:
    log_of(tmp_path, there)
    with pytest.raises(UserError, match=rf"there is no tuning log for {target} fp32; build with"):
        open_nearest_log(tmp_path, find_target(target), "fp32")


def test_another_variant_is_not_near(tmp_path: Path) -> None:
    log_of(tmp_path, "icelake-server", "int8")
    with pytest.raises(UserError, match="there is no tuning log for sapphirerapids fp32"):
        open_nearest_log(tmp_path, find_target("sapphirerapids"), "fp32")


@pytest.mark.parametrize(
    ("variant", "flags"),
    [
        ("fp32", ""),
        ("int8", " --quantized=static"),
        ("int8-weights", " --quantized=weights"),
        ("fp32-depth-aware", " --pruned=depth-aware"),
        ("int8-structured", " --quantized=static --pruned=structured"),
        ("int8-weights-structured", " --quantized=weights --pruned=structured"),
    ],
)
def test_the_command_that_makes_a_missing_log(variant: str, flags: str) -> None:
    """`tune` takes it, and its log is the one that is missing."""
    command = tune_command(find_target("cascadelake"), variant)
    assert command == f"lprnet tune --target cascadelake{flags}"
    parser = verb_parser("tune", "lprnet tune")
    assert parser.parse_args(command.split()[2:]).target == "cascadelake"


def test_a_sapphire_rapids_has_the_logs_that_ship() -> None:
    for variant in ("fp32", "int8", "int8-structured"):
        log = open_nearest_log(LOGS, find_target("sapphirerapids"), variant)
        assert log.manifest.target == "icelake-server"


@given(st.sampled_from(TARGETS), st.sampled_from(TARGETS), st.sampled_from(TARGETS))
def test_targets_are_a_partial_order(one, two, three) -> None:  # type: ignore[no-untyped-def]
    assert one.runs(one)
    assert not (one.runs(two) and two.runs(one)) or one == two
    assert not (one.runs(two) and two.runs(three)) or one.runs(three)


@pytest.mark.parametrize("name", TARGET_NAMES[1:])
def test_only_another_log_is_told(name: str) -> None:
    assert substitution(name, "int8", name) is None
    assert substitution(name, "int8", "other") == (
        f"There is no tuning log for {name} int8; the schedules are those of other, whose code "
        f"{name} runs."
    )
