"""A results folder: one line an image, masks, overlays, table and report; killed at any moment, it goes on from there.

`inspections.jsonl` is the only truth: a line is on disk before the next image begins. Everything else is made from it.
"""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from casae.errors import OutputError
from casae.inspection.inspector import Inspection, Inspector
from casae.results.lines import RecordLines, Records
from casae.results.overlay import draw_overlay, encode
from casae.results.record import DefectRecord, InspectionRecord, to_record

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
    _beside: Executor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def __enter__(self) -> Self:
        """Open for writing, with what an earlier run left.

        Raises:
            OutputError: the folder cannot be written, or holds lines of another schema.
        """
        try:
            for part in ("masks", "overlays"):
                (self.folder / part).mkdir(parents=True, exist_ok=True)
            self.lines = RecordLines(self.folder / LINES)
        except OSError as error:
            raise OutputError(f"{self.folder}: cannot be written ({error.strerror}); choose another --out") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beside.shutdown()

    def knows(self, path: Path, inspector: Inspector) -> bool:
        """Whether this very file was inspected before with the same model and settings."""
        if str(path) not in self.lines:
            return False
        record = self.lines[str(path)]
        if _identity(record) != _inspector_identity(inspector):
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
        try:
            mask = self._beside.submit(self._write_mask, name, inspection.mask)
            (self.folder / "overlays" / f"{name}.jpg").write_bytes(encode(draw_overlay(inspection), ".jpg"))
            mask.result()
            self.lines.append(record)
        except OSError as error:
            raise OutputError(
                f"{self.folder}: cannot be written ({error.strerror}); free space, start again"
            ) from error
        return record

    def finish(self, paths: Iterable[Path]) -> Records:
        """Write the tables of all records; return those of `paths`, in that order."""
        self.lines.tidy()
        rows = (_row(record, defect) for record in self.lines.read(self.lines) for defect in record.defects)
        _write_csv(self.folder / TABLE, ["path", "decision", *_COLUMNS], rows)
        if self.failures:
            _write_csv(self.folder / FAILURES, ["path", "reason"], self.failures.items())
        else:
            (self.folder / FAILURES).unlink(missing_ok=True)
        return Records(self.lines, map(str, paths))

    def _write_mask(self, name: str, mask: NDArray[np.bool_]) -> None:
        """Takes as long as the overlay, and is therefore written beside it."""
        (self.folder / "masks" / f"{name}.png").write_bytes(encode(mask.view(np.uint8) * np.uint8(255), ".png"))

    def _name(self, source: str) -> str:
        """A name for the pictures of an image: its stem, with a hash where another image has taken that."""
        if source in self.lines:
            return self.lines[source].name
        name = Path(source).stem
        return f"{name}-{hashlib.sha256(source.encode()).hexdigest()[:8]}" if name in self.lines.names else name


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


def _identity(record: InspectionRecord) -> tuple[object, ...]:
    known = record.min_area_px, record.mm_per_pixel, record.rules_sha256, record.roi_sha256
    return record.model_sha256, record.gs, record.core_gs, *known


def _inspector_identity(inspector: Inspector) -> tuple[object, ...]:
    settings = inspector.settings
    known = settings.min_area_px, settings.mm_per_pixel, rules_sha256(inspector), inspector.roi_sha256
    return inspector.model_sha256, inspector.gs, inspector.core_gs, *known


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


def _write_csv(file: Path, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    try:
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(header)
            writer.writerows(rows)
    except OSError as error:
        raise OutputError(f"{file}: cannot be written ({error.strerror}); close it elsewhere") from error
