"""Commands that calibrate and round take AVX2's order of sums before PyTorch computes."""

import os
import subprocess
import sys

import pytest

from lprnet.compression.same_sums import AS_ON_AVX2

VERBS = ("build", "compare", "predict", "sweep", "tune")
ASKED = """
import sys
from argparse import Namespace
from importlib import import_module
from lprnet.compression import same_sums

def asked():
    assert "torch" not in sys.modules
    raise SystemExit(7)

same_sums.same_sums_on_every_cpu = asked
import_module("lprnet.commands." + sys.argv[1]).run(Namespace())
"""
SUMS = """
import os, sys
if sys.argv[1] == "asked":
    from lprnet.compression.same_sums import same_sums_on_every_cpu
    before = dict(os.environ)
    same_sums_on_every_cpu()
    assert dict(os.environ) == before
import torch
torch.set_num_threads(1)
numbers = torch.Generator().manual_seed(0)
image = torch.randn(4, 64, 24, 94, generator=numbers)
weight = torch.randn(64, 64, 3, 3, generator=numbers)
found = torch.conv2d(image, weight)
print(torch.backends.cpu.get_cpu_capability(), found.numpy().tobytes().hex()[:100_000])
"""


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_asks_before_pytorch_is_imported(verb: str) -> None:
    ended = subprocess.run([sys.executable, "-c", ASKED, verb], check=False, timeout=60)
    assert ended.returncode == 7


def sums(how: str, variables: dict[str, str]) -> str:
    clean = {name: one for name, one in os.environ.items() if name not in AS_ON_AVX2}
    command = [sys.executable, "-c", SUMS, how]
    return subprocess.run(
        command, check=True, timeout=60, capture_output=True, text=True, env=clean | variables
    ).stdout


def test_sums_are_those_of_avx2_and_the_environment_stays() -> None:
    """Bit for bit those of a process that computes with AVX2 alone."""
    found = sums("asked", {})
    assert found == sums("not asked", AS_ON_AVX2)
    assert found.startswith("AVX2 ")


def test_what_the_user_has_set_stays() -> None:
    assert sums("asked", {"ATEN_CPU_CAPABILITY": "default"}).startswith("DEFAULT ")
