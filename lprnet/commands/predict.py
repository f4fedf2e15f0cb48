"""Estimate the speed on other Xeons with llvm-mca, or with AMX: a JSON record and a table of it."""

from argparse import ArgumentParser, Namespace

from lprnet.commands.arguments import add_calibration, add_checkpoint, output_folder


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    add_checkpoint(parser, "what to compile, as for build")
    add_calibration(parser)
    parser.add_argument(
        "--output",
        type=output_folder,
        default="docs/results",
        metavar="DIR",
        help="xeon-predicted.json and .md go here, or xeon-amx-predicted.json and .md",
    )
    parser.add_argument(
        "--amx",
        action="store_true",
        help="estimate int8 and bf16 on AMX's tile registers instead, which needs no llvm-mca",
    )


def run(options: Namespace) -> None:
    """Predict, then write."""
    from lprnet.compression.same_sums import same_sums_on_every_cpu

    same_sums_on_every_cpu()
    if options.amx:
        from lprnet.reports.prediction.amx import predict_amx
        from lprnet.reports.prediction.render_amx import write_amx

        write_amx(predict_amx(options.checkpoint, options.calibration), options.output)
        return
    from lprnet.reports.prediction.predict import predict
    from lprnet.reports.prediction.render import write

    write(predict(options.checkpoint, options.calibration), options.output)
