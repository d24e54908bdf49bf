"""A results folder: one line per image, masks, overlays, table and report; killed at any moment, it goes on from there.

`inspections.jsonl` is the only truth: a line is on disk before the next image begins. Everything else is made from it.
"""

import csv
import errno
import hashlib
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from casae.errors import OutputError
from casae.inspection.inspection import Inspection
from casae.inspection.inspector import Inspector
from casae.results.lines import RecordLines, Records, same_name
from casae.results.lock import lock
from casae.results.overlay import draw_overlay, encode
from casae.results.record import DefectRecord, InspectionRecord, rules_sha256, to_record

PICTURES = ("masks", "overlays")
REFUSED = re.compile(r'[<>:"/\\|?*\x00-\x1f]')  # in names, by Windows and the file systems of its drives
LONGEST_NAME = 200  # bytes; file systems take 255, with hash and suffix
LINES, TABLE, REPORT, FAILURES = "inspections.jsonl", "defects.csv", "report.html", "failures.csv"


@dataclass
class ResultsFolder:
    """Records of one or many runs in a folder; use it with `with`.

    Attributes:
        folder: where; made if missing.
        failures: path -> reason, of this run.
        lines: what is known of each image.
    """

    folder: Path
    failures: dict[str, str] = field(default_factory=dict)
    lines: RecordLines = field(init=False)
    _lock: BinaryIO = field(init=False)
    _beside: Executor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def __enter__(self) -> Self:
        """Open for writing, with what an earlier run left.

        Raises:
            OutputError: the folder cannot be written, holds lines of another schema or masks that are no results, or
                is another process's now.
        """
        self._check_pictures()
        try:
            for part in PICTURES:
                (self.folder / part).mkdir(parents=True, exist_ok=True)
            self._lock = lock(self.folder)
            try:
                self.lines = RecordLines(self.folder / LINES)
            except BaseException:
                self._lock.close()
                raise
        except OSError as error:
            raise _unwritten(self.folder, error) from error
        return self

    def _check_pictures(self) -> None:
        """A dataset keeps its labels where results have their masks; they must not be overwritten."""
        strange = [part for part in PICTURES if any((self.folder / part).glob("*"))]
        if strange and not (self.folder / LINES).exists():
            raise OutputError(f"{self.folder}: its {strange[0]} are no results of casae; choose another --out")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beside.shutdown()
        self._lock.close()

    def knows(self, path: Path, inspector: Inspector) -> bool:
        """Whether this very file was inspected before with the same model and settings."""
        if str(path) not in self.lines:
            return False
        record = self.lines[str(path)]
        if _identity(record, inspector) != _inspector_identity(inspector) or not self._has_pictures(record.name):
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == record.sha256

    def add(self, inspection: Inspection, inspector: Inspector) -> InspectionRecord:
        """Record an inspection: killed at any moment, its line stands there with its own pictures or without any.

        Raises:
            OutputError: the disk does not take it.
        """
        name = self._name(inspection.source)
        record = to_record(inspection, name, inspector)
        pictures = self._pictures(name)
        mask_part, overlay_part = parts = [picture.with_name(f"{picture.name}.part") for picture in pictures]
        try:
            mask = self._beside.submit(_write_mask, mask_part, inspection.mask)
            overlay_part.write_bytes(encode(draw_overlay(inspection), ".jpg"))
            mask.result()
            for picture in pictures:  # of an earlier inspection
                picture.unlink(missing_ok=True)
            self.lines.append(record)
            for part, picture in zip(parts, pictures, strict=True):
                part.replace(picture)
        except OSError as error:
            raise _unwritten(self.folder, error) from error
        return record

    def finish(self, paths: Iterable[Path]) -> Records:
        """Write the tables of all records; return those of `paths`, in that order.

        Raises:
            OutputError: the disk does not take them.
        """
        try:
            self.lines.tidy()
        except OSError as error:
            raise _unwritten(self.folder, error) from error
        rows = (_row(record, defect) for record in self.lines.read(self.lines) for defect in record.defects)
        _write_csv(self.folder / TABLE, ["path", "decision", *_COLUMNS], rows)
        if self.failures:
            _write_csv(self.folder / FAILURES, ["path", "reason"], self.failures.items())
        else:
            (self.folder / FAILURES).unlink(missing_ok=True)
        return Records(self.lines, map(str, paths))

    def _has_pictures(self, name: str) -> bool:
        """A power cut may leave them empty; somebody may have deleted them."""
        return all(file.exists() and file.stat().st_size for file in self._pictures(name))

    def _pictures(self, name: str) -> tuple[Path, Path]:
        """Mask and overlay."""
        return self.folder / "masks" / f"{name}.png", self.folder / "overlays" / f"{name}.jpg"

    def _name(self, source: str) -> str:
        """A name for the pictures of an image: its stem, with a hash where that is another's or no name everywhere."""
        if source in self.lines:
            return self.lines[source].name
        stem = Path(source).stem
        name = REFUSED.sub("_", stem).encode()[:LONGEST_NAME].decode(errors="ignore")
        taken = name != stem or same_name(name) in self.lines.names
        return f"{name}-{hashlib.sha256(source.encode()).hexdigest()[:8]}" if taken else name


_COLUMNS = [
    name if info.alias is None else info.alias
    for name, info in DefectRecord.model_fields.items()
    if name not in ("rectangle", "polygons")
]


def _row(record: InspectionRecord, defect: DefectRecord) -> list[object]:
    values = defect.model_dump(by_alias=True)
    return [record.path, record.decision, *(values[column] for column in _COLUMNS)]


def _identity(record: InspectionRecord, inspector: Inspector) -> tuple[object, ...]:
    known = record.min_area_px, record.mm_per_pixel, record.rules_sha256, record.roi_sha256
    computed = record.precision, record.classifier_precision or inspector.classifier_precision  # not in older lines
    return record.model_sha256, record.gs, record.core_gs, *known, *computed


def _inspector_identity(inspector: Inspector) -> tuple[object, ...]:
    known = inspector.min_area_px, inspector.mm_per_pixel, rules_sha256(inspector.rules), inspector.roi_sha256
    computed = inspector.precision, inspector.classifier_precision
    return inspector.model_sha256, inspector.gs, inspector.core_gs, *known, *computed


def is_result(folder: Path) -> bool:
    """Whether a folder holds the masks or overlays of a results folder."""
    return folder.name in PICTURES and (folder.parent / LINES).exists()


def _write_mask(file: Path, mask: NDArray[np.bool_]) -> None:
    """Takes as long as the overlay, and is therefore written beside it."""
    file.write_bytes(encode(mask.view(np.uint8) * np.uint8(255), ".png"))


def _write_csv(file: Path, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a table; a kill or a full disk leaves the one before."""
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(header)
            writer.writerows(rows)
        part.replace(file)
    except OSError as error:
        raise _unwritten(file, error) from error


def _unwritten(place: Path, error: OSError) -> OutputError:
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    advice = "free space, start again" if is_full else "close it elsewhere, or choose another --out"
    return OutputError(f"{place}: cannot be written ({error.strerror}); {advice}")
