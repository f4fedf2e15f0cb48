"""Compare schedules kernel by kernel: none, automatic, manual, and the faster of the two."""

from argparse import ArgumentParser, Namespace

from lprnet.commands.arguments import (
    PICTURES,
    SEARCHED,
    TARGETS,
    add_calibration,
    add_checkpoint,
    add_variant,
    input_folder,
    output_file,
)
from lprnet.support.cli import note


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    add_checkpoint(parser, "what to compile, as for build")
    add_variant(parser, SEARCHED)
    add_calibration(parser)
    parser.add_argument(
        "--target", choices=TARGETS, default="native", help="the CPU whose code is timed here"
    )
    parser.add_argument(
        "--logs",
        type=input_folder,
        metavar="DIR",
        help="of tune (default: tuning_logs, or else the logs that ship)",
    )
    parser.add_argument(
        "--plot",
        type=output_file(*PICTURES),
        metavar="FILE.png",
        help="draw shares of the peak (default: no drawing)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def run(options: Namespace) -> None:
    """Compare, then print and draw."""
    from lprnet.compression.same_sums import same_sums_on_every_cpu

    same_sums_on_every_cpu()
    import json

    from rich.console import Console

    from lprnet.commands.tables import print_tables
    from lprnet.reports.schedule_comparison.compare import ComparisonOptions, compare_schedules
    from lprnet.reports.schedule_comparison.render import as_json, describe, plot_shares, tables
    from lprnet.tuning import LOGS
    from lprnet.tuning.log.nearest import substitution

    asked = ComparisonOptions(
        checkpoint=options.checkpoint,
        calibration=options.calibration,
        quantized=options.quantized,
        pruned=options.pruned,
        target=options.target,
        logs=options.logs or LOGS,
    )
    with Console(stderr=True).status("building and timing every schedule"):
        comparison = compare_schedules(asked)
    sentence = substitution(comparison.target, comparison.variant, comparison.tuned_for)
    if sentence:
        note(sentence)
    if options.plot:
        plot_shares(comparison, options.plot)
    if options.json:
        print(json.dumps(as_json(comparison), indent=2))
        return
    print_tables(tables(comparison))
    for sentence in describe(comparison):
        print(sentence)
