"""Inspect what a source gives and keep it in a store. A bad picture is named and passed over."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

import cv2

from casae.config import InspectionSettings
from casae.errors import CasaeError, ImageError
from casae.files import printable, unusable_name, write_whole
from casae.inspection.inspection import Conditions, Inspection, Part, Picture
from casae.inspection.inspector import Inspector
from casae.inspection.record import InspectionRecord
from casae.line.begun import Begun
from casae.line.parts import Told
from casae.results.folder import REPORT, ResultsFolder
from casae.results.lines import Records

Unusable = tuple[type[Exception], ...]
UNUSABLE: Unusable = (ImageError, OSError, MemoryError, cv2.error)  # the last two where an image is too large
NO_MEMORY = -4  # code of a `cv2.error`
WRITES_WAITING = 1  # inspections that are not on disk yet while the next picture is inspected

Key = TypeVar("Key")
Kept = TypeVar("Kept", covariant=True)


class Unread(Protocol):
    """A picture that lies elsewhere than in a file, and is read when its turn comes."""

    @property
    def source(self) -> str:
        """What to call it."""

    def read(self, max_megapixels: float) -> Picture:
        """Read and decode it.

        Raises:
            ImageError: it is no usable image.
            OSError: it cannot be read.
        """


class Inspects(Protocol):
    """An `Inspector`, or what stands in for one."""

    @property
    def settings(self) -> InspectionSettings:
        """Of its inspections."""

    @property
    def conditions(self) -> Conditions:
        """What its inspections hang on, as it is now."""

    def inspect(self, image: Picture) -> Inspection:
        """Inspect one picture."""


Source = Iterable[Path | Picture | Unread | None]
"""Files and other things that are read when their turn comes, or pictures that are read already, as those of a camera.

None says that there is nothing for the moment: what was begun is finished before the next one is asked for.
"""


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


@dataclass(frozen=True)
class Step(Generic[Key]):
    """One picture of a source is over.

    Attributes:
        source: its path, or what its `Picture` says.
        key: in the store; None where it failed.
        record: that is kept; None where it failed.
        failure: why it could not be inspected, None where it was.
        is_new: whether it was inspected now, or could not be; else the store knew it.
    """

    source: str
    key: Key | None = None
    record: InspectionRecord | None = None
    failure: str | None = None
    is_new: bool = True


Done = Callable[[str, InspectionRecord | None, str | None], object]


def run(
    source: Source,
    inspector: Inspector,
    store: Store[Key, Kept],
    done: Done = lambda source, record, failure: None,
    told: Told = Told(),
) -> Outcome[Key]:
    """Inspect everything that a source gives, and keep it.

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

    def collect(step: Step[Key]) -> None:
        if step.key is not None:
            outcome.keys.append(step.key)
        if step.failure is not None:
            outcome.failures[step.source] = step.failure
        done(step.source, step.record, step.failure)

    follow(source, inspector, store, collect, told)
    return outcome


def follow(
    source: Source,
    inspector: Inspects,
    store: Store[Key, Kept],
    done: Callable[[Step[Key]], object],
    told: Told = Told(),
    unusable: Unusable = UNUSABLE,
) -> None:
    """Inspect what a source gives as long as it gives something; nothing is remembered, so it may be for months.

    The next picture is read and the last inspection kept while one is inspected; the order of the source stays.
    Arguments and errors as of `run`; `unusable` are errors that concern a picture alone, of which the others go on.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        coming: deque[tuple[str, Future[Picture | Key]]] = deque()
        pending: deque[tuple[str, Future[Step[Key]]]] = deque()

        def go_on(ahead: int, waiting: int) -> None:
            """Inspect and settle until so many are read ahead and so many wait to be kept."""
            while len(coming) > ahead:
                name, found = coming.popleft()
                pending.append((name, _kept(name, found, inspector, store, writer)))
                while len(pending) > WRITES_WAITING:
                    done(_settled(*pending.popleft(), unusable))
            while len(pending) > waiting:
                done(_settled(*pending.popleft(), unusable))

        for item in source:
            if item is None:
                go_on(0, 0)
                continue
            name = printable(item) if isinstance(item, Path) else item.source
            coming.append((name, reader.submit(_read, item, inspector, store, told)))
            go_on(1, WRITES_WAITING)
        go_on(0, 0)


def inspect_files(
    inspector: Inspector,
    files: Iterable[Path],
    out: Path,
    done: Done = lambda source, record, failure: None,
    told: Told = Told(),
    left_out: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Records, dict[str, str]]:
    """Inspect files into a results folder, going on where an earlier run stopped, and write its tables and report.

    Args:
        inspector: judges them.
        files: absolute, as `casae.line.files.gather` gives them.
        out: the folder; made if missing.
        done: called after every file with its record, or with why it failed.
        told: what is known of the files.
        left_out: source -> why it was not looked at, for the table of failures and the report.

    Returns:
        The records of all readable files, each read when its turn comes and until the next run into `out`, and
        source -> reason of the others.

    Raises:
        OutputError: `out` cannot be written.
    """
    note = Begun.at(out.absolute())

    def over(source: str, record: InspectionRecord | None, failure: str | None) -> None:
        note.over(source)
        done(source, record, failure)

    with ResultsFolder(out) as store:
        try:
            outcome = run(chain.from_iterable(map(note.begin, files)), inspector, store, over, told)
        finally:  # whoever stops it blames no picture
            note.drop()
        unseen = outcome.failures | dict(left_out)
        records = store.finish(outcome.keys, unseen)
        from casae.results.report import write_report  # only now: the first record does not wait for Jinja

        report = out / REPORT
        write_report(report, records, unseen, out, inspector, store.replaced)
        write_whole(out / f"report-{date.today()}.html", report.read_bytes(), "free space, start again")
        return records, outcome.failures


def _reason(name: str, error: Exception) -> str:
    if isinstance(error, ImageError | OSError):
        return str(error)
    if not isinstance(error, MemoryError | cv2.error):
        return f"{name}: casae failed on it ({error!r}); please report it"
    if isinstance(error, cv2.error) and error.code != NO_MEMORY:
        return f"{name}: OpenCV cannot work on it ({error.err}); save it as an ordinary PNG"
    return f"{name}: does not fit into this machine's memory; make it smaller, or inspect it elsewhere"


def _read(item: Path | Picture | Unread, inspector: Inspects, store: Store[Key, Kept], told: Told) -> Picture | Key:
    """The picture, or the key of what the store knows of it."""
    if isinstance(item, Picture):
        return item
    if not isinstance(item, Path):
        return item.read(inspector.settings.max_megapixels)
    problem = unusable_name(item)
    if problem:
        raise ImageError(f"{printable(item)}: {problem}")
    part = told.part(item)
    key = store.knows(item, inspector.conditions, part)
    if key is not None:
        return key
    return replace(Picture.of(item, inspector.settings.max_megapixels), part=part, camera=told.camera)


def _settled(name: str, kept: Future[Step[Key]], unusable: Unusable) -> Step[Key]:
    try:
        return kept.result()
    except unusable as error:
        if isinstance(error, CasaeError) and not isinstance(error, ImageError):
            raise  # of the store or the model: it concerns all pictures
        return Step(name, failure=_reason(name, error))


def _kept(
    name: str, coming: Future[Picture | Key], inspector: Inspects, store: Store[Key, Kept], writer: Executor
) -> Future[Step[Key]]:
    """What is kept of a picture, which is being written while the next one is inspected."""
    kept: Future[Step[Key]] = Future()
    try:
        found = coming.result()
        if isinstance(found, Picture):
            inspection = inspector.inspect(found)
            return writer.submit(lambda: Step(name, *store.add(inspection)))
        kept.set_result(Step(name, found, store.record(found), is_new=False))
    except Exception as error:
        kept.set_exception(error)  # `_settled` says whether it concerns this picture alone
    return kept
