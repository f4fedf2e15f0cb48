"""One shard: its images are read, and the results written whole, by whichever process has it."""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from lprnet.bulk import job, output, plan
from lprnet.bulk.fatal_images import without_fatal
from lprnet.bulk.job_file import Options, check_artifact
from lprnet.runtime.reading_columns import ReadingColumns
from lprnet.runtime.reading_output import Reading
from lprnet.runtime.recognizer import Recognizer
from lprnet.runtime.source_reader import SourceReader
from lprnet.support.errors import UserError


class Done(NamedTuple):
    """A shard whose files are written."""

    shard: int
    plates: int
    errors: int


class ShardReader:
    """Reads shards of one job with one recognizer; for one thread."""

    def __init__(self, folder: Path, artifact: Path, options: Options) -> None:
        """Raises `UserError` if the artifact does not load or is not the job's."""
        self._folder, self._options = folder, options
        recognizer = Recognizer(artifact)
        check_artifact(folder, artifact, recognizer.manifest.artifact_sha256)
        self._reader = SourceReader(
            recognizer,
            options.top,
            grammar=options.grammar,
            max_pixels=options.max_pixels,
            rows=options.rows,
        )

    def read(
        self, place: tuple[int, int], progress: Callable[[int], None], *, warned: bool = False
    ) -> Done:
        """Read a shard, given by its number and the place of its line in the plan, and write its
        files. Meanwhile tell `progress` how many more plates are done.

        `warned` says that an image of it has ended a process: such images become errors.

        The shard comes after its errors: once it is there, nothing of it is missing. Raises
        `UserError` if a file cannot be written.
        """
        options, (index, offset) = self._options, place
        line = plan.line_at(self._folder / plan.FILE_NAME, offset)
        errors: list[Reading] = []
        count = 0

        def parts() -> Iterator[ReadingColumns]:
            nonlocal count
            sources = plan.sources(line, options.max_pixels)
            if warned:
                sources = without_fatal(sources, options.max_pixels)
            for part in self._reader.columns(sources):
                count += len(part.files)
                progress(len(part.files))
                errors.extend(part.failed())
                yield part

        target = job.shard_path(self._folder, index, options.form)
        with _whole(target) as path:
            output.write(options, parts(), path)
            self._write_errors(job.errors_path(self._folder, index), errors)
        return Done(index, count, len(errors))

    def _write_errors(self, path: Path, errors: list[Reading]) -> None:
        if not errors:
            path.unlink(missing_ok=True)  # an earlier run may have met some
            return
        with _whole(path) as partial, partial.open("w", encoding="ascii") as file:
            file.writelines(map(output.error_line, errors))


def remove_partial(folder: Path, process: int | None) -> None:
    """Remove what a process of this machine, which has been killed, was writing."""
    for path in folder.glob(f".*{_ending(process)}"):
        path.unlink(missing_ok=True)


def _ending(process: int | None) -> str:
    return f".{socket.gethostname()}.{process}{job.PARTIAL}"


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """As `atomic_write`, but without a look at the other files of the folder, which may be a
    million, and with a name that no process on another machine has. The content is on the disk
    before the name is.
    """
    partial = path.with_name(f".{path.name}{_ending(os.getpid())}")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); make room and run again"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
