"""Inspect what a source gives and keep it in a store. A bad picture is named and passed over."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import cv2

from casae.errors import ImageError
from casae.files import printable, unusable_name, write_whole
from casae.inspection.inspection import Conditions, Inspection, Part, Picture
from casae.inspection.inspector import Inspector
from casae.inspection.record import InspectionRecord
from casae.line.parts import Told
from casae.results.folder import REPORT, ResultsFolder
from casae.results.lines import Records

UNUSABLE = (ImageError, OSError, MemoryError, cv2.error)  # the last two where an image is too large
NO_MEMORY = -4  # code of a `cv2.error`
WRITES_WAITING = 1  # inspections that are not on disk yet while the next picture is inspected

Key = TypeVar("Key")
Kept = TypeVar("Kept", covariant=True)
Source = Iterable[Path | Picture]
"""Files, which are read when their turn comes, or pictures that are read already, as those of a camera."""


class Store(Protocol[Key, Kept]):
    """Where inspections are kept: a folder, a database, a queue."""

    def knows(self, file: Path, conditions: Conditions, part: Part) -> Key | None:
        """The key of an earlier inspection of this very file and part under these conditions, None without one."""

    def record(self, key: Key) -> InspectionRecord:
        """What is kept under a key."""

    def add(self, inspection: Inspection) -> tuple[Key, InspectionRecord]:
        """Keep an inspection; it is safe when this returns."""

    def finish(self, keys: Iterable[Key], failures: dict[str, str]) -> Kept:
        """A run is over."""


@dataclass
class Outcome(Generic[Key]):
    """What a run did.

    Attributes:
        keys: of what is in the store, in the order of the source.
        failures: source -> why it could not be inspected.
    """

    keys: list[Key] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


Done = Callable[[str, InspectionRecord | None, str | None], object]


def run(
    source: Source,
    inspector: Inspector,
    store: Store[Key, Kept],
    done: Done = lambda source, record, failure: None,
    told: Told = Told(),
) -> Outcome[Key]:
    """Inspect everything that a source gives, and keep it.

    The next picture is read and the last inspection kept while one is inspected; the order of the source stays.

    Args:
        source: files or pictures.
        inspector: judges them.
        store: keeps them; a file that it knows is not inspected again.
        done: called after each with its record, or with why it failed.
        told: what is known of the files.

    Raises:
        OutputError: the store does not take it.
    """
    outcome: Outcome[Key] = Outcome()
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        pending: deque[tuple[str, Future[tuple[Key, InspectionRecord]]]] = deque()

        def settle() -> None:
            name, kept = pending.popleft()
            record, failure = None, None
            try:
                key, record = kept.result()
                outcome.keys.append(key)
            except UNUSABLE as error:
                failure = _reason(name, error)
                outcome.failures[name] = failure
            done(name, record, failure)

        def read(item: Path | Picture) -> Picture | Key:
            if isinstance(item, Picture):
                return item
            problem = unusable_name(item)
            if problem:
                raise ImageError(f"{printable(item)}: {problem}")
            part = told.part(item)
            key = store.knows(item, inspector.conditions, part)
            if key is not None:
                return key
            return replace(Picture.of(item, inspector.settings.max_megapixels), part=part, camera=told.camera)

        for item, coming in _ahead(reader, read, source):
            name = item.source if isinstance(item, Picture) else printable(item)
            pending.append((name, _kept(inspector, store, writer, coming)))
            if len(pending) > WRITES_WAITING:
                settle()
        while pending:
            settle()
    return outcome


def inspect_files(
    inspector: Inspector,
    files: Iterable[Path],
    out: Path,
    done: Done = lambda source, record, failure: None,
    told: Told = Told(),
) -> tuple[Records, dict[str, str]]:
    """Inspect files into a results folder, going on where an earlier run stopped, and write its tables and report.

    Args:
        inspector: judges them.
        files: absolute, as `casae.line.files.gather` gives them.
        out: the folder; made if missing.
        done: called after every file with its record, or with why it failed.
        told: what is known of the files.

    Returns:
        The records of all readable files, each read when its turn comes and until the next run into `out`, and
        source -> reason of the others.

    Raises:
        OutputError: `out` cannot be written.
    """
    with ResultsFolder(out) as store:
        outcome = run(files, inspector, store, done, told)
        records = store.finish(outcome.keys, outcome.failures)
        from casae.results.report import write_report  # only now: the first record does not wait for Jinja

        report = out / REPORT
        write_report(report, records, outcome.failures, out, inspector, store.replaced)
        write_whole(out / f"report-{date.today()}.html", report.read_bytes(), "free space, start again")
        return records, outcome.failures


def _reason(name: str, error: Exception) -> str:
    if isinstance(error, ImageError | OSError):
        return str(error)
    if isinstance(error, cv2.error) and error.code != NO_MEMORY:
        return f"{name}: OpenCV cannot work on it ({error.err}); save it as an ordinary PNG"
    return f"{name}: does not fit into this machine's memory; make it smaller, or inspect it elsewhere"


Read = TypeVar("Read")
Item = TypeVar("Item")


def _ahead(
    reader: Executor, read: Callable[[Item], Read], source: Iterable[Item]
) -> Iterator[tuple[Item, Future[Read]]]:
    """Each item with what is read of it, while the next one is read already."""
    coming: deque[tuple[Item, Future[Read]]] = deque()
    for item in source:
        coming.append((item, reader.submit(read, item)))
        if len(coming) > 1:
            yield coming.popleft()
    yield from coming


def _kept(
    inspector: Inspector, store: Store[Key, Kept], writer: Executor, coming: Future[Picture | Key]
) -> Future[tuple[Key, InspectionRecord]]:
    """What is kept of a picture, which is being written while the next one is inspected."""
    kept: Future[tuple[Key, InspectionRecord]] = Future()
    try:
        found = coming.result()
        if isinstance(found, Picture):
            return writer.submit(store.add, inspector.inspect(found))
        kept.set_result((found, store.record(found)))
    except UNUSABLE as error:
        kept.set_exception(error)
    return kept
