"""A reliability diagram: the share of right plates over their confidence."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from lprnet.reports.confidence.calibrate import Confidence
from lprnet.support.atomic_file import atomic_write
from lprnet.support.palette import BLUE, VERMILION


def draw_reliability(found: Confidence, picture: Path) -> None:
    """Draw the bins of `found` as PNG, SVG or PDF, which the ending of `picture` names."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=VERMILION, linewidth=1, label="as confident as right")
    axes.plot(
        [one.confidence for one in found.bins],
        [one.right for one in found.bins],
        color=BLUE,
        marker="o",
        label=f"{len(found.bins)} bins of equal mass",
    )
    axes.axvline(
        found.calibration.precise_at, color="0.5", linestyle=":", label="99 % right from here on"
    )
    axes.set_xlabel("confidence")
    axes.set_ylabel("share of right plates")
    axes.set_title(f"expected calibration error {found.error:.3f}")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.legend(loc="upper left")
    with atomic_write(picture) as partial:
        figure.savefig(partial, dpi=120, format=picture.suffix[1:])
