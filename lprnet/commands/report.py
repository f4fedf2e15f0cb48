"""Measure every variant, and with --peers every baseline, on this machine; make a report."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from lprnet.commands.arguments import (
    PICTURES,
    add_checkpoint,
    input_file,
    input_folder,
    integer,
    output_file,
    output_folder,
)

PEERS = ("installed", "all")


def add_arguments(parser: ArgumentParser) -> None:
    """Let `parser` take the flags."""
    add_checkpoint(parser, "what every row is made from")
    parser.add_argument(
        "--data",
        type=input_folder,
        metavar="DIR",
        help="images named after their plates (default: rendered plates)",
    )
    parser.add_argument(
        "--peers",
        nargs="?",
        const=PEERS[0],
        choices=PEERS,
        help="also PyTorch, ONNX Runtime and OpenVINO (installed, meant where no value is given), "
        "or all: engines too that get environments of their own in --work (default: our rows)",
    )
    parser.add_argument(
        "--repeats", type=integer(2), default=200, metavar="N", help="rounds of latency"
    )
    parser.add_argument(
        "--work",
        type=output_folder,
        default=Path("build/report"),
        metavar="DIR",
        help="artifacts go here",
    )
    parser.add_argument(
        "--output",
        type=output_folder,
        metavar="DIR",
        help="keep report.json and the pictures here (default: report.json in --work alone)",
    )
    parser.add_argument(
        "--from",
        type=input_file,
        dest="made",
        metavar="FILE",
        help="a report.json to show again (default: measure)",
    )
    parser.add_argument(
        "--plot",
        type=output_file(*PICTURES),
        metavar="FILE.png",
        help="draw accuracy against latency (default: no drawing)",
    )
    parser.add_argument(
        "--html",
        type=output_file(),
        metavar="FILE",
        help="write one page with everything (default: no page)",
    )
    parser.add_argument(
        "--page",
        type=output_file(".md"),
        metavar="FILE.md",
        help="write the results as a page of Markdown, with links to the record and the pictures "
        "of --output or beside --from (default: no page)",
    )
    parser.add_argument(
        "--readme", action="store_true", help="put the tables into README.md and docs/results.md"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(options: Namespace) -> None:
    """Measure or read a report, then write and print what was asked for."""
    from dataclasses import asdict

    from lprnet.commands.tables import print_tables
    from lprnet.reports.benchmark.html import write_page
    from lprnet.reports.benchmark.page import write_results_page
    from lprnet.reports.benchmark.plots import write_all, write_pareto
    from lprnet.reports.benchmark.results import FILE, read_report
    from lprnet.reports.benchmark.table import findings, terminal, update_pages
    from lprnet.reports.benchmark.variants import PROJECT
    from lprnet.support.cli import print_json
    from lprnet.support.errors import UserError

    if options.readme and not (PROJECT / "README.md").is_file():
        raise UserError("--readme changes a checkout of the repository; this package lies in none")
    if options.page and not (options.output or options.made):
        raise UserError("--page links to a record that is kept; give --output DIR for it")
    if options.made:
        report = read_report(options.made)
    else:
        from lprnet.reports.benchmark.run import ReportOptions, run_benchmark

        report = run_benchmark(
            ReportOptions(
                checkpoint=options.checkpoint,
                data=options.data,
                peers=options.peers,
                repeats=options.repeats,
                work=options.work,
            )
        )
        report.write(options.work)
    if options.output:
        report.write(options.output)
        write_all(report, options.output)
    if options.plot:
        write_pareto(report, options.plot)
    if options.html:
        write_page(report, options.html)
    if options.page:
        record = options.output / FILE if options.output else options.made
        write_results_page(report, record, options.page)
    if options.readme:
        update_pages(report, PROJECT)
    if options.json:
        print_json(asdict(report))
        return
    print_tables(terminal(report))
    for sentence in findings(report):
        print(f"- {sentence}")
