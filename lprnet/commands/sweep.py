"""Find how narrow a checkpoint's layers can be: prune to several budgets, build, read, time."""

from argparse import ArgumentParser, Namespace

from lprnet.commands.arguments import (
    MAX_DISTILL_STEPS,
    PICTURES,
    add_calibration,
    add_checkpoint,
    add_network,
    input_folder,
    integer,
    number,
    output_file,
    stated,
)

MAX_MMAC = 1e6
MAX_WIDTH = 256
"""Channels of the widest layer."""


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    add_checkpoint(parser, "what to prune")
    add_network(parser)
    add_calibration(parser)
    parser.add_argument(
        "--data",
        type=input_folder,
        required=True,
        metavar="DIR",
        help="images named after their plates, to count what each result reads",
    )
    parser.add_argument(
        "--budgets",
        nargs="+",
        type=number(1e-6, MAX_MMAC),
        metavar="MMAC",
        help="to prune to, in million multiply-accumulates (default: parts of the unpruned "
        "network's, from 0.8 to 0.36)",
    )
    parser.add_argument(
        "--step",
        type=integer(1, MAX_WIDTH),
        default=8,
        metavar="N",
        help="widths are multiples of it",
    )
    parser.add_argument(
        "--loss",
        type=number(0, 100),
        default=0.5,
        metavar="POINTS",
        help="most accuracy to lose, in percentage points",
    )
    parser.add_argument(
        "--quantized",
        action="store_true",
        help="build static int8, beside the whole network in float32 (default: float32 alone)",
    )
    parser.add_argument(
        "--distill",
        type=integer(1, MAX_DISTILL_STEPS),
        metavar="STEPS",
        help="at each budget also train what stays towards the whole network, as `build --distill "
        "STEPS` does, with half of the first block's rows where that is nearer to it (default: "
        "refit the channels alone)",
    )
    parser.add_argument(
        "--plot",
        type=output_file(*PICTURES),
        metavar="FILE.png",
        help="draw accuracy against work and latency (default: no drawing)",
    )
    parser.add_argument(
        "--widths",
        type=output_file(".json"),
        metavar="FILE.json",
        help="write the channels that the chosen network keeps, for `build --widths` (default: "
        "nowhere)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def run(options: Namespace) -> None:
    """Sweep, then print and draw."""
    from lprnet.compression.same_sums import same_sums_on_every_cpu

    same_sums_on_every_cpu()
    import json

    from lprnet.commands.tables import print_tables
    from lprnet.reports.pruning_sweep.render import plot_sweep, table
    from lprnet.reports.pruning_sweep.results import as_json, write_chosen
    from lprnet.reports.pruning_sweep.run import SweepOptions, run_sweep

    result = run_sweep(
        SweepOptions(
            checkpoint=options.checkpoint,
            calibration=options.calibration,
            data=options.data,
            budgets=None if options.budgets is None else tuple(options.budgets),
            step=options.step,
            loss=options.loss,
            stated=stated(options),
            quantized=options.quantized,
            distill=options.distill,
        )
    )
    if options.widths:
        write_chosen(result, options.widths)
    if options.plot:
        plot_sweep(result, options.plot)
    if options.json:
        print(json.dumps(as_json(result), indent=2))
    else:
        print_tables([table(result)])
