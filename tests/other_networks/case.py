"""The product: what networks differ in, their variants, and the CPUs they are built for."""

from dataclasses import dataclass
from itertools import product

ALPHABETS = {"66": 66, "37": 37, "36+blank": 37, "22": 22, "11": 11}
"""Names of the case to classes, the blank included; 36+blank and 22 come with a file."""
SCALES = {"x0.5": 0.5, "x0.75": 0.75, "x1.25": 1.25, "x1": 1.0}
COLOURS = {"bgr": 3, "grey": 1}
SIZES = {"94x24": (94, 24), "128x32": (128, 32), "96x48": (96, 48), "160x24": (160, 24)}
VARIANTS = {
    "fp32": [],
    "weights": ["--quantized=weights"],
    "static": ["--quantized=static"],
    "structured": ["--pruned=structured"],
}
TARGETS = ("broadwell", "icelake-server")


@dataclass(frozen=True)
class Case:
    """Names of `ALPHABETS`, `SCALES` and the others."""

    alphabet: str
    scale: str
    colours: str
    size: str
    variant: str
    target: str

    @property
    def name(self) -> str:
        return " ".join(vars(self).values())

    @property
    def network(self) -> tuple[str, str, str, str]:
        """What the cases of one network have in common."""
        return self.alphabet, self.scale, self.colours, self.size


CASES = [Case(*names) for names in product(ALPHABETS, SCALES, COLOURS, SIZES, VARIANTS, TARGETS)]


def in_order(chosen: list[Case]) -> list[Case]:
    """`chosen` network by network, in the order in which they come, and of each one variant after
    the other.
    """
    first: dict[tuple[str, ...], int] = {}
    for index, case in enumerate(chosen):
        first.setdefault(case.network, index)
    return sorted(chosen, key=lambda case: (first[case.network], CASES.index(case)))
