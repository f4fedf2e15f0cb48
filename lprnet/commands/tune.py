"""Search for schedules of every kernel, on this CPU or over RPC; a killed run can be continued."""

from argparse import ArgumentParser, Namespace

from lprnet.commands.arguments import (
    PICTURES,
    SEARCHED,
    TARGETS,
    add_calibration,
    add_variant,
    input_file,
    integer,
    output_file,
    output_folder,
)
from lprnet.support.cli import note


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    parser.add_argument(
        "--trials",
        type=integer(1),
        default=2000,
        metavar="N",
        help="candidates to measure in all",
    )
    parser.add_argument(
        "--checkpoint",
        dest="checkpoints",
        action="append",
        default=[],
        type=input_file,
        metavar="FILE",
        help="tune its kernels too, besides those of the weights that ship; may be given several "
        "times (default: only those weights)",
    )
    add_variant(parser, SEARCHED)
    add_calibration(parser)
    parser.add_argument("--target", choices=TARGETS, default="native", help="the CPU to tune for")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--resume",
        dest="fresh",
        action="store_false",
        help="continue the existing log (default)",
    )
    existing.add_argument("--fresh", action="store_true", help="throw away the existing log")
    parser.set_defaults(fresh=False)
    parser.add_argument("--seed", type=integer(0), default=1, metavar="N", help="of the search")
    parser.add_argument(
        "--output",
        type=output_folder,
        default="tuning_logs",
        metavar="DIR",
        help="logs go to TARGET/VARIANT below it",
    )
    parser.add_argument(
        "--plot",
        type=output_file(*PICTURES),
        metavar="FILE.png",
        help="draw the convergence (default: no drawing)",
    )
    parser.add_argument(
        "--tracker",
        metavar="HOST:PORT",
        help="measure on its RPC servers (default: on this machine)",
    )
    parser.add_argument("--key", help="of the servers to use (default: none, as without --tracker)")


def run(options: Namespace) -> None:
    """Tune, then print the log's table."""
    from lprnet.compression.same_sums import same_sums_on_every_cpu

    same_sums_on_every_cpu()
    from lprnet.commands.tables import print_tables
    from lprnet.tuning.report import plot_convergence, summary
    from lprnet.tuning.tune import TuningOptions, tune

    result = tune(
        TuningOptions(
            checkpoints=options.checkpoints,
            calibration=options.calibration,
            quantized=options.quantized,
            pruned=options.pruned,
            target=options.target,
            trials=options.trials,
            fresh=options.fresh,
            seed=options.seed,
            output=options.output,
            tracker=options.tracker,
            key=options.key,
        )
    )
    print_tables([summary(result)])
    if result.manifest.stopped_early:
        note(result.manifest.stopped_early)
    if options.plot:
        plot_convergence(result, options.plot)
