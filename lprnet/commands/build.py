"""Build an artifact: a checkpoint becomes one small shared object, verified and timed."""

from argparse import ArgumentParser, Namespace

from lprnet.commands.arguments import (
    SCHEDULES,
    TARGETS,
    add_calibration,
    add_checkpoint,
    add_network,
    add_variant,
    output_folder,
    stated,
)
from lprnet.support.cli import note
from lprnet.weights import DEFAULT_CHECKPOINT


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    add_checkpoint(
        parser,
        "a state dict (.pth, .safetensors), or ONNX: float32, or static int8 in QDQ form",
    )
    add_network(parser)
    add_variant(parser)
    add_calibration(parser)
    parser.add_argument(
        "--target",
        choices=(*TARGETS, "portable"),
        default="native",
        help="the CPU to compile for: this machine's (native), a named one, or code for AVX2, "
        "AVX-512 and VNNI in one artifact (portable)",
    )
    parser.add_argument(
        "--schedule",
        choices=SCHEDULES,
        default="manual",
        help="of each kernel: written by hand (manual), found by `tune` (auto), the faster of the "
        "two as timed here (hybrid), or TVM's plain loops (none)",
    )
    parser.add_argument(
        "--output",
        type=output_folder,
        default="build",
        metavar="DIR",
        help="the artifact and its manifest go here",
    )
    parser.add_argument(
        "--dump",
        type=output_folder,
        metavar="DIR",
        help="keep the network after every phase here, as numbered TVMScript files, and the "
        "assembly (default: nowhere)",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="add a second function that times each kernel, for `inspect --profile`; the artifact "
        "is larger, and reads as fast",
    )


def run(options: Namespace) -> None:
    """Build, then print what was built."""
    from rich.console import Console

    from lprnet.build import Request, build, build_tables, log_substitutions
    from lprnet.commands.tables import print_tables
    from lprnet.runtime.files_left_out import report_files_left_out

    request = Request(
        checkpoint=options.checkpoint,
        quantized=options.quantized,
        pruned=options.pruned,
        target=options.target,
        schedule=options.schedule,
        calibration=options.calibration,
        output=options.output,
        stated=stated(options),
        dump=options.dump,
        profile=options.profile,
    )
    with Console(stderr=True).status("building"):
        built, timing = build(request)
    alphabet = built.manifest.alphabet
    if options.alphabet is None and options.checkpoint != DEFAULT_CHECKPOINT:
        note(f"alphabet: {alphabet.name}; --alphabet names another")
    print_tables(build_tables(built, timing))
    for sentence in log_substitutions(built):
        note(sentence)
    if options.calibration:
        report_files_left_out([str(options.calibration)])
