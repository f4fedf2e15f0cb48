"""What `lprnet calibrate` writes and prints."""

import json
from pathlib import Path

from lprnet.model.confidence_file import write_confidence
from lprnet.reports.confidence.calibrate import Confidence, as_json, keep, measure
from lprnet.reports.confidence.plot import draw_reliability
from lprnet.runtime.artifact import read_manifest
from lprnet.runtime.decode import FAR_LIKELIER
from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError
from lprnet.support.file_digest import file_digest
from lprnet.support.file_names import utf8_json


def calibrate(
    artifact: Path,
    data: Path | None,
    plates: int,
    output: Path,
    checkpoint: Path | None = None,
    check: Path | None = None,
) -> Confidence:
    """Measure `artifact` (`measure`), keep the calibration in its manifest and, if `checkpoint` is
    given, beside that, and write `reliability.json` and `reliability.png` into `output`.

    Raises `UserError` as `measure`, and for a checkpoint that the artifact was not built from.
    """
    if checkpoint and file_digest(checkpoint) != read_manifest(artifact).checkpoint_sha256:
        raise UserError(f"{artifact} was not built from {checkpoint}; name its own checkpoint")
    found = measure(artifact, data, plates, check)
    with atomic_write(output / "reliability.json") as partial:
        text = json.dumps(as_json(found), ensure_ascii=False, indent=2)
        partial.write_text(utf8_json(text) + "\n", encoding="utf-8")
    draw_reliability(found, output / "reliability.png")
    keep(artifact, found.calibration)
    if checkpoint:
        write_confidence(checkpoint, found.calibration)
    return found


def summary(found: Confidence) -> list[str]:
    """It in sentences."""
    fitted, accepted = found.calibration, found.accepted
    plates = sum(one.plates for one in found.bins)
    lines = [
        f"{found.artifact}: fitted on {fitted.images} {fitted.source}, checked on {plates} others, "
        f"of which {found.right:.1%} are read right",
        f"temperature {fitted.temperature:.3f}, bias {fitted.bias:.3f}",
        f"expected calibration error {found.error:.4f}, before {found.error_before:.4f}",
        f"99 % right from a confidence of {fitted.precise_at:.4f} on; of the others, "
        f"{accepted.precision:.1%} of those accepted there are right and {accepted.rejected:.1%} "
        f"are rejected; of blank images, noise and streets {found.other_images_accepted:.1%} pass",
    ]
    if found.elsewhere:
        lines.append(
            f"of the images to check, {found.elsewhere.precision:.1%} of those accepted are right "
            f"and {found.elsewhere.rejected:.1%} are rejected"
        )
    if found.ratios:
        lines.append("a text that is no plate stays where it is this many times as probable:")
        lines += [
            f"{one.ratio:16,.0f}  {one.plates_right} plates and {one.others_right} other texts "
            "are read right"
            for one in found.ratios
        ]
        lines.append(
            f"{found.best_ratio:,.0f} is enough for 99 % of these plates; "
            f"in use is {FAR_LIKELIER:,.0f}"
        )
    return lines
