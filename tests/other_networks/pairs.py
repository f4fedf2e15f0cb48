"""The suite's choice of the product: every value of a dimension meets every value of each other.

Twenty cases, and fewer cannot do: five alphabets meet four scales. Those of the first four
alphabets are an orthogonal array, 16 runs of four values, whose fifth column is both the colours
and the target. Its values are named so that the slowest builds meet the smallest images.
"""

from collections.abc import Iterable
from itertools import combinations

from tests.other_networks.case import Case

Pair = tuple[tuple[str, str], tuple[str, str]]

_TABLE = """
66        x0.5   bgr   94x24   fp32        broadwell
66        x0.75  grey  128x32  structured  icelake-server
66        x1     bgr   96x48   weights     icelake-server
66        x1.25  grey  160x24  static      broadwell
37        x0.5   bgr   128x32  static      icelake-server
37        x0.75  grey  94x24   weights     broadwell
37        x1     bgr   160x24  structured  broadwell
37        x1.25  grey  96x48   fp32        icelake-server
11        x0.5   grey  160x24  weights     icelake-server
11        x0.75  bgr   96x48   static      broadwell
11        x1     grey  128x32  fp32        broadwell
11        x1.25  bgr   94x24   structured  icelake-server
22        x0.5   grey  96x48   structured  broadwell
22        x0.75  bgr   160x24  fp32        icelake-server
22        x1     grey  94x24   static      icelake-server
22        x1.25  bgr   128x32  weights     broadwell
36+blank  x0.5   grey  160x24  structured  broadwell
36+blank  x0.75  bgr   94x24   static      icelake-server
36+blank  x1     bgr   96x48   weights     broadwell
36+blank  x1.25  grey  128x32  fp32        icelake-server
"""
CHOSEN = tuple(Case(*line.split()) for line in _TABLE.strip().splitlines())


def pairs_of(cases: Iterable[Case]) -> set[Pair]:
    """Each two values of a case, with the names of their dimensions."""
    return {pair for case in cases for pair in combinations(vars(case).items(), 2)}
