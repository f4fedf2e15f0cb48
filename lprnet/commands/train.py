"""Train LPRNet on rendered plates and, with --data, on labelled images of your own."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from lprnet.commands.arguments import (
    PICTURES,
    existing,
    input_file,
    input_folder,
    integer,
    number,
    output_file,
    output_folder,
    size,
)
from lprnet.support.errors import UserError

VALIDATIONS = 8
"""Of a short run; a long one has one every 500 steps."""


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    parser.add_argument("--steps", type=integer(1), default=4_000, metavar="N", help="steps in all")
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
        type=existing,
        metavar="DIR|FILE.csv",
        help="labelled images: named after their plates, or listed in a CSV file with the header "
        "file,text; a tenth is held out for validation (default: rendered plates alone)",
    )
    parser.add_argument(
        "--teacher",
        type=input_file,
        metavar="FILE",
        help="a checkpoint whose answers are learnt beside the labels (default: labels alone)",
    )
    parser.add_argument(
        "--unlabelled",
        type=input_folder,
        metavar="DIR",
        help="images that --teacher reads too; they need no labels (default: none)",
    )
    parser.add_argument(
        "--batch", type=integer(1, 65536), default=64, metavar="N", help="plates a step"
    )
    parser.add_argument(
        "--minutes",
        type=number(0, 1e6),
        metavar="N",
        help="stop after this time; --resume goes on (default: when all steps are done)",
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
        help="fine-tune these weights (default: start from random ones; with --alphabet or --size "
        "from the weights that ship)",
    )
    parser.add_argument(
        "--alphabet",
        metavar="NAME|FILE",
        help="learn to read this alphabet, as build takes it, from --data; the backbone is kept "
        "(default: that of the weights to start from)",
    )
    parser.add_argument(
        "--size",
        type=size,
        metavar="WxH",
        help="learn to read images of this size (default: that of the weights to start from)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a run that --output holds already"
    )


def run(options: Namespace) -> None:
    """Train, then print where the weights are."""
    if options.contact_sheet:
        from lprnet.synthetic.contact_sheet import write_contact_sheet

        return write_contact_sheet(options.contact_sheet, options.seed)
    from lprnet.runtime.files_left_out import report_files_left_out
    from lprnet.support.file_names import printable
    from lprnet.training.begin import starting_network
    from lprnet.training.material import Sources
    from lprnet.training.plot import plot_run
    from lprnet.training.recipe import Recipe
    from lprnet.training.train import LOG, train

    if options.resume and (options.alphabet or options.size):
        raise UserError(
            f"{options.output} goes on with its own alphabet and image size; leave out --alphabet "
            "and --size, or start another run without --resume"
        )
    start = starting_network(options.from_checkpoint, options.alphabet, options.size)
    weights = train(
        Recipe(
            options.steps,
            options.seed,
            options.batch,
            validation_every=min(500, max(1, options.steps // VALIDATIONS)),
            minutes=options.minutes,
        ),
        options.output,
        Sources(options.data, options.unlabelled, options.teacher),
        resume=options.resume,
        overwrite=options.overwrite,
        checkpoint=start,
    )
    if options.plot:
        plot_run(options.output / LOG, options.plot)
    print(printable(str(weights)))
    folders = [str(folder) for folder in (options.data, options.unlabelled) if folder]
    report_files_left_out(folders)
