"""A results folder: one line an image, masks, overlays, table and report; killed at any moment, it goes on from there.

`inspections.jsonl` is the only truth: a line is written, flushed and on disk before the next image begins. Everything
else is made from it.
"""

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from casae.errors import OutputError
from casae.inspection.inspector import Inspection, Inspector
from casae.results.overlay import draw_overlay, encode
from casae.results.record import DefectRecord, InspectionRecord, to_record

LINES, TABLE, REPORT, FAILURES = "inspections.jsonl", "defects.csv", "report.html", "failures.csv"


@dataclass
class ResultsFolder:
    """Records of one or many runs in a folder.

    Attributes:
        folder: where; made if missing.
        records: what is known of each image, by path; a newer line replaces an older one.
        failures: path -> reason, of this run.
    """

    folder: Path
    records: dict[str, InspectionRecord] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    _lines: IO[bytes] | None = None
    _names: set[str] = field(default_factory=set)
    _beside: Executor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def __enter__(self) -> Self:
        """Open for writing, with what an earlier run left.

        Raises:
            OutputError: the folder cannot be written, or holds lines of another schema.
        """
        try:
            for part in ("masks", "overlays"):
                (self.folder / part).mkdir(parents=True, exist_ok=True)
            self.records = self._read()
            self._names = {record.name for record in self.records.values()}
            self._rewrite()
            self._lines = (self.folder / LINES).open("ab")
        except OSError as error:
            raise OutputError(f"{self.folder}: cannot be written ({error.strerror}); choose another --out") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beside.shutdown()
        if self._lines:
            self._lines.close()

    def knows(self, path: Path, inspector: Inspector) -> bool:
        """Whether this very file was inspected before with the same model and settings."""
        record = self.records.get(str(path))
        if record is None or _identity(record) != _inspector_identity(inspector):
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == record.sha256

    def add(self, inspection: Inspection, inspector: Inspector) -> InspectionRecord:
        """Record an inspection: its pictures first, its line last.

        Raises:
            OutputError: the disk does not take it.
        """
        name = self._name(inspection.source)
        settings, rules = inspector.settings, rules_sha256(inspector)
        roi = inspector.roi_sha256
        record = to_record(inspection, name, settings.min_area_px, settings.mm_per_pixel, rules, roi)
        if self._lines is None:
            raise ValueError("open the results folder with 'with' before adding to it")
        try:
            mask = self._beside.submit(self._write_mask, name, inspection.mask)
            (self.folder / "overlays" / f"{name}.jpg").write_bytes(encode(draw_overlay(inspection), ".jpg"))
            mask.result()
            self._lines.write(_line(record))
            self._lines.flush()
            os.fsync(self._lines.fileno())
        except OSError as error:
            raise OutputError(
                f"{self.folder}: cannot be written ({error.strerror}); free space, start again"
            ) from error
        self.records[inspection.source] = record
        return record

    def finish(self, paths: Iterable[Path]) -> list[InspectionRecord]:
        """Write the tables of all records; return those of `paths`, in that order."""
        self._rewrite()
        rows = [_row(record, defect) for record in self.records.values() for defect in record.defects]
        _write_csv(self.folder / TABLE, ["path", "decision", *_COLUMNS], rows)
        if self.failures:
            _write_csv(self.folder / FAILURES, ["path", "reason"], list(self.failures.items()))
        else:
            (self.folder / FAILURES).unlink(missing_ok=True)
        return [self.records[str(path)] for path in paths if str(path) in self.records]

    def _write_mask(self, name: str, mask: NDArray[np.bool_]) -> None:
        """Takes as long as the overlay, and is therefore written beside it."""
        (self.folder / "masks" / f"{name}.png").write_bytes(encode(mask.view(np.uint8) * np.uint8(255), ".png"))

    def _name(self, source: str) -> str:
        """A name for the pictures of an image: its stem, with a hash where another image has taken that."""
        known = self.records.get(source)
        if known:
            return known.name
        name = Path(source).stem
        if name in self._names:
            name = f"{name}-{hashlib.sha256(source.encode()).hexdigest()[:8]}"
        self._names.add(name)
        return name

    def _read(self) -> dict[str, InspectionRecord]:
        file, records = self.folder / LINES, {}
        lines = file.read_bytes().split(b"\n") if file.exists() else []
        for number, line in enumerate(lines[:-1], start=1):  # what follows the last newline was cut off by a kill
            try:
                record = InspectionRecord.model_validate_json(line)
            except ValidationError as error:
                rule = "is no line of this casae's schema"
                raise OutputError(f"{file}: line {number} {rule}; choose another --out") from error
            records[record.path] = record
        return records

    def _rewrite(self) -> None:
        """Leave one whole line an image."""
        file = self.folder / LINES
        content = b"".join(map(_line, self.records.values()))
        if file.exists() and file.read_bytes() == content:
            return
        temporary = file.with_suffix(".part")
        temporary.write_bytes(content)
        temporary.replace(file)


def rules_sha256(inspector: Inspector) -> str:
    """Hash of the acceptance rules in force."""
    return hashlib.sha256(inspector.rules.model_dump_json().encode()).hexdigest()


_COLUMNS = [
    name if info.alias is None else info.alias
    for name, info in DefectRecord.model_fields.items()
    if name not in ("rectangle", "polygons")
]


def _row(record: InspectionRecord, defect: DefectRecord) -> list[object]:
    values = defect.model_dump(by_alias=True)
    return [record.path, record.decision, *(values[column] for column in _COLUMNS)]


def _line(record: InspectionRecord) -> bytes:
    return json.dumps(record.model_dump(mode="json", by_alias=True), ensure_ascii=False).encode() + b"\n"


def _identity(record: InspectionRecord) -> tuple[object, ...]:
    known = record.min_area_px, record.mm_per_pixel, record.rules_sha256, record.roi_sha256
    return record.model_sha256, record.gs, *known


def _inspector_identity(inspector: Inspector) -> tuple[object, ...]:
    settings = inspector.settings
    scale, rules = settings.mm_per_pixel, rules_sha256(inspector)
    return inspector.model_sha256, inspector.gs, settings.min_area_px, scale, rules, inspector.roi_sha256


def write_whole(file: Path, text: str, advice: str) -> None:
    """Write a file so that a kill leaves the old one or the new one, never half of one.

    Raises:
        OutputError: the disk does not take it; `advice` is the way out.
    """
    temporary = file.with_suffix(".part")
    try:
        temporary.write_text(text, "utf-8")
        temporary.replace(file)
    except OSError as error:
        raise OutputError(f"{file}: cannot be written ({error.strerror}); {advice}") from error


def _write_csv(file: Path, header: Sequence[str], rows: Sequence[Iterable[object]]) -> None:
    try:
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(header)
            writer.writerows(rows)
    except OSError as error:
        raise OutputError(f"{file}: cannot be written ({error.strerror}); close it elsewhere") from error
