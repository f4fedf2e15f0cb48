"""`lprnet tune` continues a log unless it gets `--fresh`."""

from pathlib import Path

import pytest

from lprnet.commands.dispatch import execute
from lprnet.support.errors import UserError
from lprnet.tuning import tune
from lprnet.tuning.tune import TuningOptions


@pytest.mark.parametrize(
    ("arguments", "fresh"), [([], False), (["--resume"], False), (["--fresh"], True)]
)
def test_a_log_is_thrown_away_on_demand_only(
    arguments: list[str], fresh: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    requests: list[TuningOptions] = []

    def stop(request: TuningOptions) -> None:
        requests.append(request)
        raise UserError("seen")

    monkeypatch.setattr(tune, "tune", stop)
    a, b = (tmp_path / name for name in ("a.pth", "b.pth"))
    for file in (a, b):
        file.touch()
    more = [f"--checkpoint={a}", f"--checkpoint={b}", "--pruned", "--quantized"]
    with pytest.raises(UserError, match="seen"):
        execute(["tune", *arguments, *more])
    (request,) = requests
    assert request.fresh is fresh
    assert request.checkpoints == [a, b]
    assert (request.quantized, request.pruned, request.trials) == ("static", "structured", 2000)
