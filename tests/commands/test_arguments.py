"""Wrong values end a command before it starts to work: nothing is read, made or left."""

import argparse
from pathlib import Path

import pytest

from lprnet.commands import arguments, evaluate, reading_arguments
from lprnet.commands.dispatch import VERBS, execute, verb_parser
from lprnet.compiler.targets import PORTABLE, TARGET_NAMES
from lprnet.measure.backends import BACKENDS
from lprnet.runtime.image_io import MAX_PIXELS
from lprnet.runtime.two_rows import ROWS
from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError
from lprnet.tuning.apply import ORIGINS


def required(verb: str, folder: Path) -> list[str]:
    """What `verb` cannot do without."""
    return {
        "recognize": [str(folder)],
        "bench": [__file__],
        "evaluate": [__file__, "--data", str(folder)],
        "sweep": ["--data", str(folder)],
    }.get(verb, [])


def options_with(kind: str) -> list[tuple[str, str]]:
    """Every verb and flag whose metavar or type is of `kind`."""
    found = []
    for verb in VERBS:
        for action in verb_parser(verb, verb)._actions:
            name = getattr(action.type, "__qualname__", "")
            if action.option_strings and name.startswith(kind):
                found.append((verb, action.option_strings[-1]))
    return found


def test_choices_are_those_of_the_code() -> None:
    """They are written down once more, for the help is shown without TVM."""
    assert arguments.TARGETS == TARGET_NAMES
    assert sorted(arguments.SCHEDULES) == sorted(ORIGINS)
    assert tuple(BACKENDS) == evaluate.BACKENDS
    assert reading_arguments.MAX_PIXELS == MAX_PIXELS
    assert reading_arguments.ROWS == ROWS
    build = {a.dest: a for a in verb_parser("build", "build")._actions}
    assert tuple(build["target"].choices or ()) == (*TARGET_NAMES, PORTABLE)


def test_no_number_path_or_picture_is_taken_unchecked() -> None:
    for verb in VERBS:
        for action in verb_parser(verb, verb)._actions:
            assert action.type not in (int, float), (verb, action.option_strings)
            assert action.type is not Path, (verb, action.dest)
            if action.dest == "plot":
                with pytest.raises(argparse.ArgumentTypeError, match="does not end in"):
                    action.type("x.jpg")  # type: ignore[operator, misc]


@pytest.mark.parametrize(("verb", "flag"), options_with("integer") + options_with("number"))
@pytest.mark.parametrize("value", ["-5", "-1000000000", "nan", "1e400", "", "ten", "0x10", "1.5.2"])
def test_a_number_out_of_range_is_refused(
    verb: str, flag: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=flag):
        execute([verb, *required(verb, tmp_path), f"{flag}={value}"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("verb", "flag", "value"),
    [
        ("train", "--steps", "0"),
        ("report", "--repeats", "0"),
        ("tune", "--trials", "0"),
        ("recognize", "--top", "0"),
        ("recognize", "--top", "100000"),
        ("sweep", "--budgets", "0"),
        ("sweep", "--step", "0"),
        ("sweep", "--loss", "101"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(
    verb: str, flag: str, value: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=rf"{flag}: {value} is out of range"):
        execute([verb, *required(verb, tmp_path), f"{flag}={value}"])


@pytest.mark.parametrize(("verb", "flag"), options_with("input_folder"))
@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("absent", "absent does not exist; name a folder of images"),
        (__file__, "is not a folder; name a folder of images"),
        ("https://example.org/plates", "https://example.org/plates is a URL; download it"),
        ("", "the path is empty"),
    ],
)
def test_an_input_folder_that_is_none(verb: str, flag: str, value: str, sentence: str) -> None:
    others = [] if flag == "--data" else required(verb, Path(__file__).parent)
    others = [__file__] if verb == "evaluate" else others
    with pytest.raises(UserError) as raised:
        execute([verb, *others, f"{flag}={value}"])
    assert sentence in str(raised.value)


@pytest.mark.parametrize(("verb", "flag"), options_with("input_file"))
@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("absent.pth", "there is no file absent.pth"),
        (str(Path(__file__).parent), "is a folder; name a file in it"),
        ("https://example.org/a.pth", "https://example.org/a.pth is a URL"),
        ("a" * 300, "there is no file"),
    ],
)
def test_an_input_file_that_is_none(verb: str, flag: str, value: str, sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        execute([verb, *required(verb, Path(__file__).parent), f"{flag}={value}"])
    assert sentence in str(raised.value)


@pytest.mark.parametrize("verb", ["inspect", "evaluate"])
@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("https://example.org/a.so", "https://example.org/a.so is a URL; download it"),
        (str(Path(__file__).parent), "is a folder; name a file in it"),
        ("absent.so", "there is no file absent.so; check the path"),
    ],
)
def test_a_file_without_a_flag_that_is_none(verb: str, value: str, sentence: str) -> None:
    data = [f"--data={Path(__file__).parent}"] if verb == "evaluate" else []
    with pytest.raises(UserError) as raised:
        execute([verb, value, *data])
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    ("verb", "flag"), [*options_with("output_file"), *options_with("output_folder")]
)
def test_an_output_that_cannot_be_written_is_refused_first(
    verb: str, flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    suffix = {"--onnx": "onnx", "--page": "md", "--widths": "json"}.get(flag, "png")
    for value in (f"file/x.{suffix}", f"file/x/y/z.{suffix}"):
        with pytest.raises(UserError, match=f"{flag}: .* cannot be written .*is not a folder"):
            execute([verb, *required(verb, tmp_path), f"{flag}={value}"])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_the_kernel_refuses_is_one_sentence() -> None:
    """Root may write almost anywhere, but not there: the first check passes, the next does not."""
    with (
        pytest.raises(UserError, match="cannot be written"),
        atomic_write(Path("/proc/self/absent/file")) as partial,
    ):
        partial.write_text("")


def test_data_that_is_neither_a_folder_nor_a_file() -> None:
    with pytest.raises(UserError, match="there is no file or folder absent; check the path"):
        execute(["train", "--data=absent"])


def test_a_resumed_run_keeps_its_alphabet(tmp_path: Path) -> None:
    for flag in ("--alphabet=latin", "--size=94x24"):
        with pytest.raises(UserError, match="goes on with its own alphabet and image size"):
            execute(["train", "--resume", f"--output={tmp_path}", flag])
