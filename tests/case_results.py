"""Runs of many cases that may be ended and given again: a line of JSON a case."""

import json
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from tqdm import tqdm

Check = Callable[[Path], Mapping[str, object]]
"""Given an empty folder; returns what was measured and raises where the case fails."""


def run_cases(results: Path, cases: Mapping[str, Check]) -> dict[str, str | None]:
    """Run those of `cases` that have not passed in the file `results` yet and append a line for
    each. Returns the last error of every case in the file, None for a case that passed.
    """
    done = read_results(results)
    with results.open("a", encoding="utf-8") as file:
        for name, check in tqdm(cases.items(), unit="case"):
            if done.get(name, "failed") is None:
                continue
            error, measured = _outcome(check)
            done[name] = error
            file.write(json.dumps({"case": name, "error": error, **measured}) + "\n")
            file.flush()
    return done


def read_results(results: Path) -> dict[str, str | None]:
    """The last error of every case in `results`, None for a case that passed."""
    if not results.exists():
        return {}
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    return {line["case"]: line["error"] for line in lines}


def _outcome(check: Check) -> tuple[str | None, dict[str, object]]:
    """The error that ended the case, and what was measured, its CPU seconds among it."""
    began, error = time.process_time(), None
    measured: Mapping[str, object] = {}
    try:
        with tempfile.TemporaryDirectory() as folder:
            measured = check(Path(folder))
    except Exception as caught:
        traceback.print_exc()
        error = f"{type(caught).__name__}: {caught}"
    return error, {"cpu_seconds": round(time.process_time() - began, 1), **measured}
