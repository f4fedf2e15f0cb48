"""Four PNGs of a report.

A colour is never the only mark: markers and labels differ too.
"""

from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lprnet.reports.benchmark.results import Line, Report, write_bytes
from lprnet.reports.benchmark.table import cells
from lprnet.support.palette import BLUE, GREEN, PURPLE, VERMILION
from lprnet.synthetic.glyphs import glyph
from lprnet.synthetic.render import sample_plates

ORIGIN_COLOURS = {"none": PURPLE, "auto": VERMILION, "manual": BLUE}
TITLES = {
    "pareto.png": "Accuracy against latency",
    "roofline.png": "Roofline of the kernels",
    "kernels.png": "Kernels by schedule",
    "plates.png": "Rendered plates and what was read",
}
"""What `draw_all` draws, by file name."""
AREA_PER_KB = 1.2
"""Area of a marker, square points a KB of the file."""


def draw_all(report: Report) -> dict[str, bytes]:
    """All pictures, file name to PNG."""
    matplotlib.use("Agg")
    with matplotlib.rc_context({"font.size": 15}):
        figures = {
            "pareto.png": pareto(report),
            "roofline.png": roofline(report),
            "kernels.png": kernels(report),
            "plates.png": sample_sheet(report),
        }
        return {name: _encode(figure, "png") for name, figure in figures.items()}


def write_all(report: Report, folder: Path) -> None:
    """Write all pictures into `folder`. Raises `UserError` if they cannot be written."""
    for name, content in draw_all(report).items():
        write_bytes(folder / name, content)


def write_pareto(report: Report, path: Path) -> None:
    """Write `pareto` as PNG, SVG or PDF, by `path`'s ending. Raises `UserError` if it cannot."""
    matplotlib.use("Agg")
    with matplotlib.rc_context({"font.size": 15}):
        write_bytes(path, _encode(pareto(report), path.suffix[1:]))


def pareto(report: Report) -> Figure:
    """Accuracy against latency, file size as area; lines are numbered and named at the side."""
    figure = Figure(figsize=(14, 8), layout="constrained")
    axes = figure.add_subplot()
    kinds = (
        ("lprnet", "o", BLUE, [x for x in report.lines if x.ours]),
        ("baseline, our graph", "s", GREEN, _baselines(report, "reduced")),
        ("baseline, our integers", "^", PURPLE, _baselines(report, "quantized")),
        ("baseline, our pruned graph", "P", GREEN, _baselines(report, "pruned")),
        ("baseline, our pruned integers", "v", PURPLE, _baselines(report, "pruned, quantized")),
        ("baseline, original graph", "D", VERMILION, _baselines(report, "original")),
    )
    for label, marker, colour, lines in kinds:
        if not lines:
            continue
        axes.scatter(
            [line.latency.min_ms for line in lines],
            [_percent(line) for line in lines],
            [AREA_PER_KB * line.file_bytes / 1e3 for line in lines],
            marker=marker,
            color=colour,
            alpha=0.45,
            edgecolors="black",
            label=label,
        )
    for number, line in enumerate(report.lines, 1):
        axes.annotate(
            str(number),
            (line.latency.min_ms, _percent(line)),
            xytext=(0, 9 if number % 2 else -9),
            textcoords="offset points",
            ha="center",
            va="center",
        )
    key = [f"{n}  {cells(line, report)[0]}" for n, line in enumerate(report.lines, 1)]
    figure.text(1.0, 0.5, "\n".join(key), va="center", fontsize=12)
    axes.set_xscale("log")
    axes.set_xlabel("ms a plate, one core, batch 1 (minimum, logarithmic)")
    axes.set_ylabel(f"% of {report.data} read exactly")
    axes.set_title("left and up is better; area: size of the file")
    axes.grid(alpha=0.3)
    axes.legend(loc="best", markerscale=0.5)
    return figure


def roofline(report: Report) -> Figure:
    """The roofline model (Williams et al., CACM 52(4), 2009) of the hand-scheduled convolutions.

    The arithmetic intensity is the operations of a direct convolution divided by the bytes of its
    operands, each counted once. Winograd's 3x1 and 1x3 need fewer multiplications, so their points
    are effective rates and may lie above the roof.
    """
    figure = Figure(figsize=(14, 8), layout="constrained")
    axes = figure.add_subplot()
    limits = report.kernels
    intensities = np.geomspace(1, 200, 100)
    roof = np.minimum(limits.peak_flops, limits.bytes_per_second * intensities)
    axes.loglog(intensities, roof / 1e9, color="black")
    axes.annotate(
        f"{limits.peak_flops / 1e9:.0f} GFLOP/s, FMA on registers",
        (200, limits.peak_flops / 1e9),
        xytext=(0, 8),
        textcoords="offset points",
        ha="right",
    )
    key = [f"slope: {limits.bytes_per_second / 1e9:.0f} GB/s, copies in L2", ""]
    convolutions = [kernel for kernel in limits.kernels if kernel.macs]
    for number, kernel in enumerate(convolutions, 1):
        operations = 2 * kernel.macs
        x, y = operations / kernel.bytes, operations / kernel.seconds["manual"] / 1e9
        axes.plot(x, y, "o", color=BLUE, markersize=9)
        axes.annotate(str(number), (x, y), xytext=(7, -12), textcoords="offset points")
        share = operations / kernel.seconds["manual"] / limits.peak_flops
        key.append(f"{number}  {kernel.name}: {share:.0%}")
    figure.text(1.0, 0.5, "\n".join(key), va="center", fontsize=12)
    axes.set_xlabel("FLOP for each byte of operands (logarithmic)")
    axes.set_ylabel("GFLOP/s of one core (logarithmic)")
    axes.set_title(
        "float32 kernels, manual schedules, and their share of the peak\n"
        "(counted as direct convolutions: Winograd's 3x1 and 1x3 may exceed it)"
    )
    axes.grid(alpha=0.3, which="both")
    return figure


def kernels(report: Report) -> Figure:
    """Microseconds a call of each kernel by each schedule."""
    each = report.kernels.kernels
    origins = [origin for origin in ORIGIN_COLOURS if all(origin in k.seconds for k in each)]
    figure = Figure(figsize=(14, 2 + 0.55 * len(each)), layout="constrained")
    axes = figure.add_subplot()
    rows, height = np.arange(len(each)), 0.8 / len(origins)
    for index, origin in enumerate(origins):
        times = [1e6 * kernel.seconds[origin] for kernel in each]
        offset = height * (index - (len(origins) - 1) / 2)
        axes.barh(rows + offset, times, height, color=ORIGIN_COLOURS[origin], label=origin)
    axes.set_yticks(rows, [kernel.name for kernel in each])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("µs a call, one core (minimum, logarithmic): shorter is better")
    axes.set_title("schedules: " + ", ".join(origins))
    axes.legend()
    axes.grid(alpha=0.3, axis="x")
    return figure


DRAWN_AS = {"I": "1", "O": "0"}
"""No plate has these letters, so the sprite has none; similar digits show such a wrong reading."""
SHEET_COLUMNS, SHEET_ZOOM, INK_SCALE = 4, 3, 2
WHITE = 255


def sample_sheet(report: Report) -> Figure:
    """Rendered plates above what was read; a wrong reading is vermilion and underlined."""
    texts = report.sample_texts
    plates = sample_plates(len(texts))
    right = sum(text == truth for text, (_, truth) in zip(texts, plates, strict=True))
    tiles = [
        _tile(image[:, :, ::-1], text, text == truth)
        for text, (image, truth) in zip(texts, plates, strict=True)
    ]
    rows = [np.hstack(tiles[n : n + SHEET_COLUMNS]) for n in range(0, len(tiles), SHEET_COLUMNS)]
    sheet = np.vstack(rows)
    figure = Figure(figsize=(14, 1 + 13 * sheet.shape[0] / sheet.shape[1]), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(sheet)
    axes.set_axis_off()
    axes.set_title(
        f"rendered plates, read by {report.sample_reader} from {report.checkpoint}: "
        f"{right} of {len(texts)} right"
    )
    return figure


def _tile(image: NDArray[np.uint8], text: str, right: bool) -> NDArray[np.uint8]:
    plate = np.repeat(np.repeat(image, SHEET_ZOOM, axis=0), SHEET_ZOOM, axis=1)
    ink = np.zeros((64 // INK_SCALE, plate.shape[1]), np.uint8)
    shown = [glyph(DRAWN_AS.get(c, c), 0)[::INK_SCALE, ::INK_SCALE] for c in text]
    line = np.hstack([np.pad(cell, ((0, 0), (2, 2))) for cell in shown] or [ink[:, :1]])
    ink[:, : line.shape[1]] = line[:, : ink.shape[1]]
    colour = np.array([0, 0, 0] if right else list(bytes.fromhex(VERMILION[1:])))
    share = ink[:, :, None] / 255.0
    reading = (WHITE * (1 - share) + colour * share).astype(np.uint8)
    bar = np.full((4, plate.shape[1], 3), WHITE, np.uint8)
    if not right:
        bar[:] = colour
    gap = np.full((4, plate.shape[1], 3), WHITE, np.uint8)
    return np.pad(
        np.vstack([plate, gap, reading, bar]), ((0, 14), (8, 8), (0, 0)), constant_values=WHITE
    )


def _baselines(report: Report, graph: str) -> list[Line]:
    return [line for line in report.lines if not line.ours and line.graph == graph]


def _percent(line: Line) -> float:
    accuracy = line.latency.accuracy
    assert accuracy is not None
    return 100 * accuracy.correct / accuracy.total


def _encode(figure: Figure, file_format: str) -> bytes:
    """Without matplotlib's version in the metadata, so that equal pictures are equal PNG files."""
    buffer = BytesIO()
    metadata = {"Software": "lprnet"} if file_format == "png" else None
    figure.savefig(buffer, dpi=100, format=file_format, bbox_inches="tight", metadata=metadata)
    return buffer.getvalue()
