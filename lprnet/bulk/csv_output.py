"""A shard's plates as rows of CSV: those that `recognize --csv` prints, made from columns."""

from lprnet.runtime.reading_columns import ReadingColumns
from lprnet.runtime.reading_output import SIX_DIGITS, csv_field, csv_more
from lprnet.support.file_names import escaped_bytes


def csv_rows(columns: ReadingColumns, least: float | None) -> str:
    """A row a text, as `as_csv` has it; `least` as in `Options.min_confidence`."""
    read = columns.read
    files = [csv_field(escaped_bytes(file)) for file in columns.files]
    rejected = [None] * len(files) if least is None else columns.rejected(least).tolist()
    more = [csv_more(*one) for one in zip(columns.places, rejected, strict=True)]
    rows = zip(
        read.images.tolist(),
        read.ranks().tolist(),
        read.texts.spelled(columns.alphabet.characters),
        read.confidences.tolist(),
        read.texts.split([*map(SIX_DIGITS, read.peaks.tolist())]),
        read.texts.lowest(read.peaks).tolist(),
        strict=True,
    )
    return "".join(
        [
            f"{files[plate]},{rank},{csv_field(text)},{confidence:.6f},"
            f"{' '.join(peaks)},{lowest:.6f}{more[plate]}\n"
            for plate, rank, text, confidence, peaks, lowest in rows
        ]
    )
