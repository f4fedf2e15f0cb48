"""Commands that calibrate and round ask for AVX2's order of sums before PyTorch is there."""

import os
import subprocess
import sys

import pytest

from lprnet.support.same_sums import same_sums_on_every_cpu

VERBS = ("build", "compare", "predict", "sweep", "tune")
ASKED = """
import os, sys
from argparse import Namespace
from importlib import import_module
from lprnet.support import same_sums

def asked():
    assert "torch" not in sys.modules
    raise SystemExit(7)

same_sums.same_sums_on_every_cpu = asked
import_module("lprnet.commands." + sys.argv[1]).run(Namespace())
"""


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_asks_before_pytorch_is_imported(verb: str) -> None:
    ended = subprocess.run([sys.executable, "-c", ASKED, verb], check=False, timeout=60)
    assert ended.returncode == 7


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "DEFAULT")
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    same_sums_on_every_cpu()
    assert os.environ["ONEDNN_MAX_CPU_ISA"] == "DEFAULT"
    assert os.environ["ATEN_CPU_CAPABILITY"] == "avx2"
