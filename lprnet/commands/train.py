"""Train LPRNet on rendered plates and, with --data, on labelled images of your own."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from lprnet.commands.arguments import (
    PICTURES,
    input_file,
    input_folder,
    integer,
    output_file,
    output_folder,
)


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    parser.add_argument(
        "--steps", type=integer(1), default=4_000, metavar="N", help="steps of 32 plates in all"
    )
    parser.add_argument(
        "--seed", type=integer(0), default=1, metavar="N", help="of weights and plates"
    )
    parser.add_argument(
        "--output",
        type=output_folder,
        default=Path("runs/train"),
        metavar="DIR",
        help="of the run: weights, log, and the state to resume from",
    )
    parser.add_argument(
        "--data",
        type=input_folder,
        metavar="DIR",
        help="images named after their plates, mixed in (default: rendered plates alone)",
    )
    parser.add_argument(
        "--plot",
        type=output_file(*PICTURES),
        metavar="FILE.png",
        help="draw the run when it ends (default: no drawing)",
    )
    parser.add_argument(
        "--contact-sheet",
        type=output_file(".png"),
        metavar="FILE.png",
        help="draw rendered plates and train nothing (default: train)",
    )
    beginning = parser.add_mutually_exclusive_group()
    beginning.add_argument("--resume", action="store_true", help="go on with the run in --output")
    beginning.add_argument(
        "--from-checkpoint",
        type=input_file,
        metavar="FILE",
        help="fine-tune these weights (default: start from random ones)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a run that --output holds already"
    )


def run(options: Namespace) -> None:
    """Train, then print where the weights are."""
    if options.contact_sheet:
        from lprnet.synthetic.contact_sheet import write_contact_sheet

        return write_contact_sheet(options.contact_sheet, options.seed)
    from lprnet.model.checkpoint import load_china
    from lprnet.runtime.files_left_out import report_files_left_out
    from lprnet.support.file_names import printable
    from lprnet.training.data import read_labelled
    from lprnet.training.plot import plot_run
    from lprnet.training.train import LOG, Recipe, train

    weights = train(
        Recipe(steps=options.steps, seed=options.seed),
        options.output,
        resume=options.resume,
        overwrite=options.overwrite,
        checkpoint=options.from_checkpoint and load_china(options.from_checkpoint),
        own=read_labelled(options.data) if options.data else [],
    )
    if options.plot:
        plot_run(options.output / LOG, options.plot)
    print(printable(str(weights)))
    if options.data:
        report_files_left_out([str(options.data)])
