"""Inspect many files into a results folder. A bad file is named and passed over."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import cv2

from casae.errors import ImageError
from casae.files import printable
from casae.inspection.inspection import Picture
from casae.inspection.inspector import Inspector
from casae.results.folder import REPORT, ResultsFolder
from casae.results.lines import Records
from casae.results.record import InspectionRecord

UNUSABLE = (ImageError, OSError, MemoryError, cv2.error)  # the last two where an image is too large
NO_MEMORY = -4  # code of a `cv2.error`
WRITES_WAITING = 1  # images whose pictures and line are not on disk yet while the next one is inspected


def inspect_files(
    inspector: Inspector,
    files: Sequence[Path],
    out: Path,
    done: Callable[[Path, InspectionRecord | None, str | None], None] = lambda path, record, failure: None,
) -> tuple[Records, dict[str, str]]:
    """Inspect files into `out`, going on where an earlier run stopped.

    The next image is read and the last one written while one is inspected.

    Args:
        done: called after every file with its record, or with why it failed.

    Returns:
        The records of all readable files, each read when its turn comes and until the next run into `out`, and
        path -> reason of the others.

    Raises:
        OutputError: `out` cannot be written.
    """
    with ResultsFolder(out) as results, ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        pending: deque[tuple[Path, Future[InspectionRecord]]] = deque()

        def settle() -> None:
            file, recorded = pending.popleft()
            record, failure = None, None
            try:
                record = recorded.result()
            except UNUSABLE as error:
                failure = _reason(file, error)
                results.failures[printable(file)] = failure
            done(file, record, failure)

        def read(file: Path) -> Picture | None:
            if printable(file) != str(file):
                raise ImageError(f"{printable(file)}: the name is not UTF-8; rename the file")
            return None if results.knows(file, inspector) else Picture.of(file)

        for file, picture in _ahead(reader, read, files):
            pending.append((file, _inspected(inspector, results, writer, file, picture)))
            if len(pending) > WRITES_WAITING:
                settle()
        while pending:
            settle()
        records = results.finish(file for file in files if printable(file) not in results.failures)
        from casae.results.report import write_report  # only now: the first record does not wait for Jinja

        write_report(out / REPORT, records, results.failures, out, inspector)
        return records, results.failures


def _reason(file: Path, error: Exception) -> str:
    if isinstance(error, ImageError | OSError):
        return str(error)
    if isinstance(error, cv2.error) and error.code != NO_MEMORY:
        return f"{printable(file)}: OpenCV cannot work on it ({error.err}); save it as an ordinary PNG"
    return f"{printable(file)}: does not fit into this machine's memory; make it smaller, or inspect it elsewhere"


def _ahead(
    reader: Executor, read: Callable[[Path], Picture | None], files: Sequence[Path]
) -> Iterator[tuple[Path, Future[Picture | None]]]:
    """Each file with its picture, while the next one is read already."""
    coming: deque[tuple[Path, Future[Picture | None]]] = deque()
    for file in files:
        coming.append((file, reader.submit(read, file)))
        if len(coming) > 1:
            yield coming.popleft()
    yield from coming


def _inspected(
    inspector: Inspector, results: ResultsFolder, writer: Executor, file: Path, picture: Future[Picture | None]
) -> Future[InspectionRecord]:
    """The record of a file, which is being written while the next image is inspected."""
    recorded: Future[InspectionRecord] = Future()
    try:
        image = picture.result()
        if image is not None:
            return writer.submit(results.add, inspector.inspect(image), inspector)
        recorded.set_result(results.lines[str(file)])
    except UNUSABLE as error:
        recorded.set_exception(error)
    return recorded
