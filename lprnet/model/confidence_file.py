"""`FILE.confidence.json` beside a checkpoint: how sure plates are that a network of it reads.

It names the SHA-256 of the checkpoint, so that it says nothing of other weights.
"""

import errno
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lprnet.runtime.confidence import ConfidenceCalibration
from lprnet.runtime.json_fields import decode
from lprnet.support.atomic_file import atomic_write
from lprnet.support.errors import UserError
from lprnet.support.file_digest import file_digest


@dataclass(frozen=True)
class _Content:
    checkpoint_sha256: str
    confidence: ConfidenceCalibration


def confidence_file(checkpoint: Path) -> Path:
    """Where the calibration of `checkpoint` lies, if it has one."""
    return Path(f"{checkpoint}.confidence.json")


def write_confidence(checkpoint: Path, confidence: ConfidenceCalibration) -> None:
    """Keep `confidence` beside `checkpoint`. Raises `UserError` if that is not possible."""
    content = asdict(_Content(file_digest(checkpoint), confidence))
    with atomic_write(confidence_file(checkpoint)) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_confidence(checkpoint: Path) -> ConfidenceCalibration | None:
    """What is kept beside `checkpoint`; None where nothing is, or where it is of other weights.

    Raises `UserError` for a file that is none of these.
    """
    path = confidence_file(checkpoint)
    try:
        content = decode(_Content, json.loads(path.read_bytes()))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):  # then no file can lie there
            return None
        raise UserError(f"{path}: cannot be read ({error.strerror}); remove it") from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: is no calibration of confidences ({error}); make it again with lprnet "
            "calibrate, or remove it"
        ) from error
    return content.confidence if content.checkpoint_sha256 == file_digest(checkpoint) else None
