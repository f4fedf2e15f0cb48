"""Build an artifact: a checkpoint becomes one small shared object, verified and timed."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from lprnet.commands.arguments import (
    MAX_DISTILL_STEPS,
    QUANTIZED,
    SCHEDULES,
    TARGETS,
    add_calibration,
    add_checkpoint,
    add_network,
    add_variant,
    input_file,
    integer,
    number,
    output_file,
    output_folder,
    stated,
)
from lprnet.support.cli import note
from lprnet.support.errors import UserError
from lprnet.weights import DEFAULT_CHECKPOINT

if TYPE_CHECKING:
    from lprnet.compression.distill.distilled import Distill
    from lprnet.compression.prune.kept_widths import Keep

SHIPPED = 0
"""`--distill` without a number."""


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    add_checkpoint(
        parser,
        "a state dict (.pth, .safetensors), or ONNX: float32, or static int8 in QDQ form",
    )
    add_network(parser)
    add_variant(parser, QUANTIZED)
    add_calibration(parser)
    parser.add_argument(
        "--distill",
        nargs="?",
        const=SHIPPED,
        type=integer(1, MAX_DISTILL_STEPS),
        metavar="STEPS",
        help="train what --pruned=structured leaves towards the whole network, on rendered plates "
        "and the images of --calibration, 64 a step; without STEPS what ships for the checkpoint, "
        "or 2000 (default: it is refitted alone)",
    )
    parser.add_argument(
        "--mmac",
        type=number(1, 1000),
        metavar="N",
        help="the most million multiply-accumulates that --pruned=structured leaves (default: 20 "
        "with --distill, else 28 of the published network and 42 %% of another)",
    )
    parser.add_argument(
        "--widths",
        type=input_file,
        metavar="FILE",
        help="the channels that --pruned=structured leaves, as `sweep --widths` writes them "
        "(default: recorded ones of the published network, searched ones of another)",
    )
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
    parser.add_argument(
        "--onnx",
        type=output_file(".onnx"),
        metavar="FILE",
        help="write the network that is compiled as ONNX too: float32, or integers in QDQ form "
        "(default: nowhere)",
    )


def run(options: Namespace) -> None:
    """Build, then print what was built."""
    from lprnet.compression.same_sums import same_sums_on_every_cpu

    same_sums_on_every_cpu()
    from rich.console import Console

    from lprnet.build import Request, agreement, build, build_tables, log_substitutions
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
        distill=_distill(options),
        keep=_keep(options),
        dump=options.dump,
        profile=options.profile,
        onnx=options.onnx,
    )
    with Console(stderr=True).status("building"):
        built, timing = build(request)
        same = agreement(built)
    alphabet = built.manifest.alphabet
    if options.alphabet is None and options.checkpoint != DEFAULT_CHECKPOINT:
        note(f"alphabet: {alphabet.name}; --alphabet names another")
    print_tables(build_tables(built, timing, same))
    for sentence in (*built.notes, *log_substitutions(built)):
        note(sentence)
    if options.calibration:
        report_files_left_out([str(options.calibration)])


def _distill(options: Namespace) -> "Distill | None":
    from lprnet.compression.distill.distilled import Distill

    if options.distill is None:
        return None
    return Distill(None if options.distill == SHIPPED else options.distill)


def _keep(options: Namespace) -> "Keep | None":
    from lprnet.compression.prune.kept_widths import Keep

    if options.widths is not None and options.mmac is not None:
        raise UserError("--widths says what stays already; leave out --mmac")
    if options.widths is None and options.mmac is None:
        return None
    return Keep(options.widths, options.mmac)
