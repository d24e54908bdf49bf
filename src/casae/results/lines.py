"""`inspections.jsonl`, one line an inspection; nothing in it is ever written over.

Memory holds of each picture where its newest line stands and by what it is known, not what is in it.
"""

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from casae.decoding import FileState
from casae.errors import OutputError, UsageError
from casae.inspection.inspection import Part
from casae.inspection.record import JUDGED_BY, PLAIN_NAME, InspectionRecord

NO_FOLLOWING = getattr(os, "O_NOFOLLOW", 0)  # a link in the place of our file is not written through


def every_record(file: Path) -> Iterator[InspectionRecord]:
    """All records of `inspections.jsonl`, those of pictures that were inspected again too; nothing is written.

    Raises:
        UsageError: it cannot be read, or a line is of another schema.
    """
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.endswith(b"\n"):  # else it is being written
                    try:
                        yield InspectionRecord.model_validate_json(line)
                    except ValidationError as error:
                        rule = "is no line of this casae's schema; inspect anew"
                        raise UsageError(f"{file}: line {number} {rule}") from error
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror}); name a folder of casae inspect") from error


class Entry(NamedTuple):
    """What is remembered of a line: where it begins, its file, by what it was judged, its pictures' name, its part."""

    offset: int
    sha256: str
    file: FileState | None
    conditions: tuple[object, ...]
    name: str
    part: Part


class _Head(BaseModel):
    """The fields of a line that are remembered; the others are read when somebody asks for the record."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: Literal[1]
    id: str
    source: str
    sha256: str
    file_bytes: int | None
    file_modified_ns: int | None
    file_inode: int | None
    name: str = Field(pattern=PLAIN_NAME)
    part: Part
    model_sha256: str
    gs: float
    core_gs: float
    min_area_px: int
    join_px: float
    mm_per_pixel: float | None
    calibration_sha256: str | None
    straightened: bool
    rules_sha256: str
    roi_sha256: str | None
    zones_sha256: str | None
    looks: int = 1
    precision: str
    classifier_precision: str | None

    @property
    def key(self) -> str:
        """The same for every inspection of one picture: of one content under one name; else of this one alone."""
        return self.id if self.file_bytes is None else f"{self.sha256} {self.source}"

    @property
    def file(self) -> FileState | None:
        if self.file_bytes is None or self.file_modified_ns is None or self.file_inode is None:
            return None
        return FileState(self.file_bytes, self.file_modified_ns, self.file_inode)

    @property
    def conditions(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in JUDGED_BY)


class RecordLines:
    """The records in a file; of a picture the newest one counts. One thread may append while others read.

    Args:
        file: made if missing; what follows its last newline was cut off by a kill, and goes.

    Attributes:
        names: of the pictures of all records, by `same_name`.

    Raises:
        OSError: the file cannot be written.
        OutputError: it holds lines of another schema.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.names: set[str] = set()
        self._entries: dict[str, Entry] = {}  # by `_Head.key`
        self._latest: dict[str, str] = {}  # source -> key
        self._end = 0
        os.close(os.open(file, os.O_CREAT | os.O_RDWR | NO_FOLLOWING, 0o666))
        self._find()

    def append(self, record: InspectionRecord) -> str:
        """Write a line; it is on disk when this returns.

        Returns:
            The key of its picture.

        Raises:
            OSError: the disk does not take it.
        """
        line = record.model_dump_json(by_alias=True).encode() + b"\n"
        try:
            with open(os.open(self.file, os.O_WRONLY | os.O_APPEND | NO_FOLLOWING), "ab") as lines:  # noqa: PTH123
                lines.write(line)
                lines.flush()
                os.fsync(lines.fileno())
        except OSError:  # half a line would spoil the next one
            os.truncate(self.file, self._end)
            raise
        return self._add(_Head.model_validate(record, from_attributes=True), len(line))

    def read(self, keys: Iterable[str]) -> Iterator[InspectionRecord]:
        """The newest records of pictures, one after the other.

        Raises:
            KeyError: a picture has none.
            OutputError: the file was changed by another program.
        """
        with self.file.open("rb") as lines:
            for key in keys:
                entry = self._entries[key]
                lines.seek(entry.offset)
                try:
                    record = InspectionRecord.model_validate_json(lines.readline())
                    if record.sha256 != entry.sha256:
                        raise ValueError(record.sha256)
                except ValueError as error:
                    raise OutputError(f"{self.file}: was changed by another program; read the file") from error
                yield record

    def latest(self, source: str) -> str | None:
        """The key of the newest picture that had this source; None without one."""
        return self._latest.get(source)

    def entry(self, key: str) -> Entry | None:
        """What is remembered of a picture; None where there is none."""
        return self._entries.get(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _find(self) -> None:
        with self.file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    os.truncate(self.file, self._end)
                    break
                try:
                    self._add(_Head.model_validate_json(line), len(line))
                except ValidationError as error:
                    rule = "is no line of this casae's schema"
                    raise OutputError(f"{self.file}: line {number} {rule}; choose another --out") from error

    def _add(self, head: _Head, length: int) -> str:
        key = head.key
        self._entries[key] = Entry(self._end, head.sha256, head.file, head.conditions, head.name, head.part)
        self._latest[head.source] = key
        self._end += length
        self.names.add(same_name(head.name))
        return key


def same_name(name: str) -> str:
    """The same for names that are one file on Windows, a Mac or their drives: of upper or lower case, in accents."""
    return unicodedata.normalize("NFC", name).casefold()


class Records:
    """The newest records of some pictures, in their order, each read when its turn comes."""

    def __init__(self, lines: RecordLines, keys: Iterable[str]) -> None:
        self._lines = lines
        self._keys = list(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[InspectionRecord]:
        return self._lines.read(self._keys)
