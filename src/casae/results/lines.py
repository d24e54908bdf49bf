"""`inspections.jsonl`, one line per image. Memory holds where the newest line of each stands, not what is in it."""

import json
import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from casae.errors import OutputError
from casae.results.record import InspectionRecord


class RecordLines:
    """The records in a file, by path; a newer line replaces an older one. One thread may append while others read.

    Args:
        file: made if missing; what follows its last newline was cut off by a kill, and is left out.

    Attributes:
        names: of the pictures of all records, by `same_name`.

    Raises:
        OSError: the file cannot be written.
        OutputError: it holds lines of another schema.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.names: set[str] = set()
        self._offsets: dict[str, int] = {}
        self._end, self._tidy = 0, True
        file.touch()
        self._find()
        self.tidy()

    def append(self, record: InspectionRecord) -> None:
        """Write a line; it is on disk when this returns.

        Raises:
            OSError: the disk does not take it.
        """
        line = json.dumps(record.model_dump(mode="json", by_alias=True), ensure_ascii=False).encode() + b"\n"
        try:
            with self.file.open("ab") as lines:
                lines.write(line)
                lines.flush()
                os.fsync(lines.fileno())
        except OSError:  # half a line would spoil the next one
            os.truncate(self.file, self._end)
            raise
        self._add(record, len(line))

    def tidy(self) -> None:
        """Leave one whole line an image in the file.

        Raises:
            OSError: the disk does not take it.
        """
        if self._tidy:
            return
        temporary = self.file.with_suffix(".part")
        offsets, end = {}, 0
        with self.file.open("rb") as old, temporary.open("wb") as new:
            for path, offset in self._offsets.items():
                old.seek(offset)
                offsets[path] = end
                end += new.write(old.readline())
            new.flush()
            os.fsync(new.fileno())
        temporary.replace(self.file)
        self._offsets, self._end, self._tidy = offsets, end, True

    def read(self, paths: Iterable[str]) -> Iterator[InspectionRecord]:
        """The records of `paths`, one after the other.

        Raises:
            KeyError: a path has none.
            OutputError: the file was rewritten by another run.
        """
        with self.file.open("rb") as lines:
            for path in paths:
                lines.seek(self._offsets[path])
                line = lines.readline()
                try:
                    record = InspectionRecord.model_validate_json(line)
                    if record.path != path:
                        raise ValueError(record.path)
                except ValueError as error:
                    raise OutputError(f"{self.file}: was written anew since; read the file") from error
                yield record

    def __getitem__(self, path: str) -> InspectionRecord:
        return next(self.read([path]))

    def __contains__(self, path: object) -> bool:
        return path in self._offsets

    def __iter__(self) -> Iterator[str]:
        return iter(self._offsets)

    def __len__(self) -> int:
        return len(self._offsets)

    def _find(self) -> None:
        with self.file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    self._tidy = False
                    break
                try:
                    self._add(InspectionRecord.model_validate_json(line), len(line))
                except ValidationError as error:
                    rule = "is no line of this casae's schema"
                    raise OutputError(f"{self.file}: line {number} {rule}; choose another --out") from error

    def _add(self, record: InspectionRecord, length: int) -> None:
        if record.path in self._offsets:
            self._tidy = False
        self._offsets[record.path] = self._end
        self._end += length
        self.names.add(same_name(record.name))


def same_name(name: str) -> str:
    """The same for names that are one file on Windows, a Mac or their drives: of upper or lower case, in accents."""
    return unicodedata.normalize("NFC", name).casefold()


class Records:
    """The records of some paths, in their order, each read when its turn comes."""

    def __init__(self, lines: RecordLines, paths: Iterable[str]) -> None:
        self._lines = lines
        self._paths = [path for path in paths if path in lines]

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[InspectionRecord]:
        return self._lines.read(self._paths)
