"""Count the images that an artifact or a checkpoint reads exactly as they are named."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from lprnet.measure.accuracy import evaluate
from lprnet.measure.backends import BACKENDS
from lprnet.runtime.files_left_out import report_files_left_out
from lprnet.support import cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, metavar="ARTIFACT|CHECKPOINT", help="or an ONNX file")
    parser.add_argument("--data", type=Path, required=True, help="directory of labelled images")
    parser.add_argument("--backend", choices=BACKENDS, help="default: by the ending of the file")
    parser.add_argument("--grammar", action="store_true", help="prefer texts that are plates")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    arguments = parser.parse_args()
    result = evaluate(arguments.file, arguments.data, arguments.backend, grammar=arguments.grammar)
    print(json.dumps(asdict(result), ensure_ascii=False) if arguments.json else result)
    report_files_left_out([str(arguments.data)])


if __name__ == "__main__":
    cli.run(main)
