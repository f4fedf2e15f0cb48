"""`scripts/tune.py` continues a log unless it gets `--fresh`."""

from pathlib import Path

import pytest

from lprnet.support.errors import UserError
from lprnet.tuning import tune
from lprnet.tuning.tune import Request
from scripts import tune as script


@pytest.mark.parametrize(
    ("arguments", "fresh"), [([], False), (["--resume"], False), (["--fresh"], True)]
)
def test_a_log_is_thrown_away_on_demand_only(
    arguments: list[str], fresh: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[Request] = []

    def stop(request: Request) -> None:
        requests.append(request)
        raise UserError("seen")

    monkeypatch.setattr(tune, "tune", stop)
    more = ["--checkpoint", "a.pth", "--checkpoint", "b.pth", "--pruned", "--quantized"]
    monkeypatch.setattr("sys.argv", ["tune.py", *arguments, *more])
    with pytest.raises(UserError, match="seen"):
        script.main()
    (request,) = requests
    assert request.fresh is fresh
    assert request.checkpoints == [Path("a.pth"), Path("b.pth")]
    assert (request.quantized, request.pruned, request.trials) == ("static", "structured", 2000)
