"""One shard: its images read, inspected and written as one file. Whoever calls it, in whatever process.

Nothing here knows of processes or clusters. What makes a shard safe to repeat:

- its results appear whole, under a name that its number gives; who comes second leaves them as they are;
- a note says that it was begun. Who finds one of an earlier worker looks at one image at a time and notes each before
  it is read: an image in whose turn workers end twice is a failure, as one that cannot be read;
- a worker that an image holds for too long ends itself, also where the image is in the hands of a library.
"""

import faulthandler
import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from casae.batch.job import Batch
from casae.batch.manifest import Shard
from casae.batch.places import Place, is_url, read_bytes
from casae.batch.rows import Row, table_of
from casae.batch.sources import Entry
from casae.config import Frozen
from casae.decoding import decode_image
from casae.errors import ImageError, MissingExtraError, UsageError
from casae.files import path_of, unusable_name
from casae.image import encode
from casae.inspection.inspection import Conditions, Inspection, Part, Picture
from casae.inspection.overlay import draw_overlay
from casae.inspection.record import InspectionRecord, record_of
from casae.line.parts import Told
from casae.line.run import Inspects, Step, follow

WORKING, OVERLAYS = "working", "overlays"  # folders
ENDED = 2  # times that a worker ends in an image's turn before it is given up


class Tally(Frozen):
    """What became of a shard.

    Attributes:
        shard: its number.
        images: how many it has.
        failed: of these, how many could not be inspected.
        decisions: OK, REVIEW or NG -> images.
        seconds: that it took; 0 where it was there already.
        reading: seconds of reading and decoding, beside the inspection.
        read_bytes: of its images.
    """

    shard: int
    images: int
    failed: int = 0
    decisions: dict[str, int] = Field(default_factory=dict)
    seconds: float = 0.0
    reading: float = 0.0
    read_bytes: int = 0


class _Note(Frozen):
    """What is known of a shard that was begun.

    Attributes:
        turn: index of the image whose turn it is; None where many are in hand.
        ended: index of an image -> workers that ended in its turn.
    """

    turn: int | None = None
    ended: dict[int, int] = Field(default_factory=dict)


def inspect_shard(shard: Shard, inspector: Inspects, place: Place, batch: Batch) -> Tally:
    """Inspect a shard and write its results, unless they are there.

    Raises:
        OutputError: the place does not take them.
        CasaeError: of the model, which concerns all images.
    """
    began = time.monotonic()
    note = f"{WORKING}/{shard.number:07d}.json"
    if place.has(shard.file):
        place.remove(note)
        return Tally(shard=shard.number, images=len(shard.entries))
    earlier = _earlier(place, note)
    store = _Rows(shard, place, batch.overlays)
    told = batch.told
    known = _Note() if earlier is None else earlier
    place.note(note, known.model_dump_json().encode())
    try:
        with _deadline(batch.image_seconds) as in_time:
            if earlier is None:
                _follow(shard.entries, inspector, store, told, in_time)
            for index, entry in enumerate(() if earlier is None else shard.entries):
                ended = known.ended.get(index, 0)
                if ended >= ENDED:
                    rule = f"casae ended {ended} times in its turn, or took longer than {batch.image_seconds:g} s"
                    store.failed(entry, f"{entry.source}: {rule}; look at the image")
                    continue
                place.note(note, known.model_copy(update={"turn": index}).model_dump_json().encode())
                _follow([entry], inspector, store, told, in_time)
    finally:  # whatever ends this worker now, no image is to blame
        if earlier is not None:
            place.note(note, known.model_dump_json().encode())
    if not place.has(shard.file):
        place.write(shard.file, table_of(store.rows))
    place.remove(note)
    return store.tally(time.monotonic() - began)


def _earlier(place: Place, note: str) -> _Note | None:
    """What an earlier worker left, its end counted; None where there was none."""
    data = place.read(note)
    if data is None:
        return None
    try:
        left = _Note.model_validate_json(data)
    except ValidationError:  # of a power cut
        left = _Note()
    ended = dict(left.ended)
    if left.turn is not None:
        ended[left.turn] = ended.get(left.turn, 0) + 1
    return _Note(ended=ended)


@contextmanager
def _deadline(seconds: float) -> Iterator[Callable[[], None]]:
    """What to call in time; otherwise this process ends, by a thread that needs nothing of Python."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123

        def in_time() -> None:
            faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)

        in_time()
        try:
            yield in_time
        finally:
            faulthandler.cancel_dump_traceback_later()


@dataclass
class _Reading:
    """An image that is read when its turn comes."""

    entry: Entry
    told: Told
    store: "_Rows"

    @property
    def source(self) -> str:
        return self.entry.source

    def read(self, max_megapixels: float) -> Picture:
        """See `casae.line.run.Unread`."""
        began = time.monotonic()
        picture = self._read(max_megapixels)
        self.store.reading += time.monotonic() - began
        part = self.told.part(Path(self.source))
        return replace(picture, part=part, camera=self.told.camera, taken_at=picture.taken_at or self._changed)

    @property
    def _changed(self) -> datetime | None:
        """When it was changed last, as the manifest has it."""
        changed = self.entry.modified_ns
        return None if changed is None else datetime.fromtimestamp(changed / 1e9).astimezone()

    def _read(self, max_megapixels: float) -> Picture:
        entry = self.entry
        if entry.archive is None and not is_url(entry.source):
            path = path_of(entry.source)
            problem = unusable_name(path)
            if not problem and "\\x" in entry.source and not path.exists():  # as `printable` writes other bytes
                problem = "the name is not UTF-8; rename the file"
            if problem:
                raise ImageError(f"{entry.source}: {problem}")
            picture = Picture.of(path, max_megapixels)
            self.store.read_bytes += picture.file.size if picture.file else 0
            return picture
        try:
            data = _in_tar(entry) if entry.archive else read_bytes(entry.source)
        except (UsageError, MissingExtraError) as error:  # of this URL, not of the others
            raise ImageError(str(error)) from error
        self.store.read_bytes += len(data)
        decoded = decode_image(data, entry.source, max_megapixels)
        return Picture(entry.source, hashlib.sha256(data).hexdigest(), decoded)


def _in_tar(entry: Entry) -> bytes:
    """The bytes of an image in a tar.

    Raises:
        OSError: it cannot be read.
        ImageError: the tar is shorter than it was.
    """
    archive, offset, size = entry.archive or "", entry.offset or 0, entry.size or 0
    if is_url(archive):
        data = read_bytes(archive, offset, size)
    else:
        with Path(archive).open("rb") as stream:
            stream.seek(offset)
            data = stream.read(size)
    if len(data) < size:
        raise ImageError(f"{entry.source}: its tar was cut off; copy it again and delete this shard's part")
    return data


def _follow(entries: Any, inspector: Inspects, store: "_Rows", told: Told, in_time: Callable[[], None]) -> None:
    waiting = iter(entries)

    def done(step: Step[int]) -> None:
        in_time()
        if step.failure is not None:
            store.failed(next(waiting), step.failure)
        else:
            store.inspected(next(waiting), step.record)

    # of whatever kind an error is: it concerns one image
    follow((_Reading(entry, told, store) for entry in entries), inspector, store, done, unusable=(Exception,))


@dataclass
class _Rows:
    """A store that keeps what a shard gives until all of it is there (`casae.line.run.Store`)."""

    shard: Shard
    place: Place
    overlays: bool
    rows: list[Row] = field(default_factory=list)
    drawn: dict[int, str] = field(default_factory=dict)
    reading: float = 0.0
    read_bytes: int = 0

    def knows(self, file: Path, conditions: Conditions, part: Part) -> int | None:
        """Nothing: what is there already is no image of this shard."""
        return None

    def record(self, key: int) -> InspectionRecord:
        """Never asked for."""
        raise KeyError(key)

    def add(self, inspection: Inspection) -> tuple[int, InspectionRecord]:
        """Its record; the overlay is written, in the place of that of an earlier worker."""
        index = self._places[inspection.source]
        if self.overlays:
            self.drawn[index] = f"{OVERLAYS}/{self.shard.number:07d}/{index:04d}.jpg"
            self.place.note(self.drawn[index], encode(draw_overlay(inspection), ".jpg"))
        return index, record_of(inspection)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {entry.source: index for index, entry in enumerate(self.shard.entries)}

    def finish(self, keys: Any, failures: Any) -> None:
        """Nothing more to do."""

    def inspected(self, entry: Entry, record: InspectionRecord | None) -> None:
        self.rows.append(Row(entry, record, None, self.drawn.get(len(self.rows))))

    def failed(self, entry: Entry, why: str) -> None:
        self.rows.append(Row(entry, None, why))

    def tally(self, seconds: float) -> Tally:
        return Tally(
            shard=self.shard.number,
            images=len(self.rows),
            failed=sum(row.record is None for row in self.rows),
            decisions=Counter(row.record.decision for row in self.rows if row.record),
            seconds=seconds,
            reading=self.reading,
            read_bytes=self.read_bytes,
        )
