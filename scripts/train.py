"""Train LPRNet on rendered plates and, with --data, on labelled images of your own."""

import argparse
from pathlib import Path

from lprnet.support import cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4_000, help="steps of 32 plates in all")
    parser.add_argument("--seed", type=int, default=1, help="of weights and plates")
    parser.add_argument("--output", type=Path, default=Path("runs/train"), help="run directory")
    parser.add_argument("--data", type=Path, help="directory of images named after their plates")
    parser.add_argument("--plot", type=Path, help="draw the run as this PNG when it ends")
    parser.add_argument("--contact-sheet", type=Path, help="only draw rendered plates as this PNG")
    beginning = parser.add_mutually_exclusive_group()
    beginning.add_argument("--resume", action="store_true", help="go on with the run in --output")
    beginning.add_argument("--from-checkpoint", type=Path, help="fine-tune these weights")
    arguments = parser.parse_args()
    if arguments.contact_sheet:
        from lprnet.synthetic.contact_sheet import write_contact_sheet

        return write_contact_sheet(arguments.contact_sheet, arguments.seed)
    from lprnet.model.checkpoint import load_model
    from lprnet.runtime.files_left_out import report_files_left_out
    from lprnet.training.data import read_labelled
    from lprnet.training.plot import plot_run
    from lprnet.training.train import LOG, Recipe, train

    weights = train(
        Recipe(steps=arguments.steps, seed=arguments.seed),
        arguments.output,
        resume=arguments.resume,
        checkpoint=arguments.from_checkpoint and load_model(arguments.from_checkpoint),
        own=read_labelled(arguments.data) if arguments.data else [],
    )
    if arguments.plot:
        plot_run(arguments.output / LOG, arguments.plot)
    print(weights)
    if arguments.data:
        report_files_left_out([str(arguments.data)])


if __name__ == "__main__":
    cli.run(main)
