"""A results folder: a line an inspection, masks, overlays, table, report; killed at any moment, it goes on from there.

`inspections.jsonl` is the only truth: a line is on disk before the next image begins, and nothing is written over.
Everything else is made from it.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from casae.decoding import FileState, read_file
from casae.errors import OutputError
from casae.files import path_of, printable, unwritten, write_csv, write_new, write_whole
from casae.image import encode
from casae.inspection.inspection import Conditions, Inspection, Part
from casae.inspection.overlay import draw_overlay
from casae.inspection.record import DefectRecord, InspectionRecord, judged_by, record_of
from casae.lock import lock
from casae.results.lines import RecordLines, Records, same_name

PICTURES = ("masks", "overlays")
REFUSED = re.compile(r'[<>:"/\\|?*\x00-\x1f]')  # in names, by Windows and the file systems of its drives
LONGEST_NAME = 200  # bytes; file systems take 255, with a suffix and what tells names apart
LINES, REPORT, RULES = "inspections.jsonl", "report.html", "rules"
IMAGES, TABLE, FAILURES = "images.csv", "defects.csv", "failures.csv"


@dataclass
class ResultsFolder:
    """Records of one or many runs in a folder; use it with `with`.

    Attributes:
        folder: where; made if missing.
        lines: what is known of each picture.
        replaced: sources whose earlier picture had another content; its record is kept.
    """

    folder: Path
    lines: RecordLines = field(init=False)
    replaced: list[str] = field(default_factory=list)
    _rules: set[str] = field(default_factory=set)  # by hash, those that are kept
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
            raise unwritten(self.folder, error) from error
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

    def knows(self, file: Path, conditions: Conditions, part: Part) -> str | None:
        """The key of an earlier inspection of this very file and part under the same conditions, None without one.

        A file of the same size, time of change and inode is the same; of another, the content is compared.
        """
        source = printable(file)
        key = self.lines.latest(source)
        if key is None:
            return None
        entry = self.lines.entry(key)
        if entry is not None and entry.file != FileState.of(file.stat()):
            key = f"{hashlib.sha256(read_file(file)).hexdigest()} {source}"
            entry = self.lines.entry(key)
        if entry is None or entry.conditions != judged_by(conditions) or not self._has_pictures(entry.name):
            return None
        return key if part in (Part(), entry.part) else None  # where nobody says more, what was said holds

    def add(self, inspection: Inspection) -> tuple[str, InspectionRecord]:
        """Record an inspection: its pictures, then its line, so that a line has its pictures.

        Returns:
            The key of its picture, and the record.

        Raises:
            OutputError: the disk does not take it.
        """
        earlier = self.lines.latest(inspection.source) if inspection.file else None
        record = record_of(inspection)
        name = self._name(record)
        record = record.model_copy(update={"name": name})
        mask_file, overlay_file = self._pictures(name)
        try:
            mask = self._beside.submit(_write_picture, mask_file, _mask_picture(inspection.mask), ".png")
            _write_picture(overlay_file, draw_overlay(inspection), ".jpg")
            mask.result()
            self._keep_rules(inspection.conditions, record.rules_sha256)
            key = self.lines.append(record)
        except OSError as error:
            raise unwritten(self.folder, error) from error
        if earlier is not None and earlier != key:
            self.replaced.append(inspection.source)
        return key, record

    def _keep_rules(self, conditions: Conditions, sha256: str) -> None:
        """What the records' `rules_sha256` stands for, so that nobody has to ask what decided."""
        file = self.folder / RULES / f"{sha256}.json"
        if sha256 not in self._rules:
            if not file.exists():
                file.parent.mkdir(exist_ok=True)
                write_whole(file, conditions.rules.model_dump_json(indent=1) + "\n")
            self._rules.add(sha256)

    def record(self, key: str) -> InspectionRecord:
        """The newest record of a picture."""
        return next(self.lines.read([key]))

    def finish(self, keys: Iterable[str], failures: Mapping[str, str]) -> Records:
        """Write the tables: of the newest inspection of every picture, and of what failed now; return those of `keys`.

        Raises:
            OutputError: the disk does not take them.
        """
        pictures = (_picture_row(record) for record in self.lines.read(self.lines))
        write_csv(self.folder / IMAGES, _PICTURE_COLUMNS, pictures)
        rows = (_row(record, defect) for record in self.lines.read(self.lines) for defect in record.defects)
        write_csv(self.folder / TABLE, ["source", "id", "decision", *_COLUMNS], rows)
        if failures:
            write_csv(self.folder / FAILURES, ["source", "reason"], failures.items())
        else:
            (self.folder / FAILURES).unlink(missing_ok=True)
        return Records(self.lines, keys)

    def _has_pictures(self, name: str) -> bool:
        """A power cut may leave them empty; somebody may have deleted them."""
        return all(file.exists() and file.stat().st_size for file in self._pictures(name))

    def _pictures(self, name: str) -> tuple[Path, Path]:
        """Mask and overlay."""
        return self.folder / "masks" / path_of(f"{name}.png"), self.folder / "overlays" / path_of(f"{name}.jpg")

    def _name(self, record: InspectionRecord) -> str:
        """A name for its pictures: the image's stem, with the end of its id where that is taken or no name anywhere."""
        stem = Path(record.source).stem
        name = REFUSED.sub("_", stem).encode()[:LONGEST_NAME].decode(errors="ignore").strip(". ") or "image"
        taken = name != stem or same_name(name) in self.lines.names
        return f"{name}-{record.id.replace('-', '')[-12:]}" if taken else name


_COLUMNS = [
    name if info.alias is None else info.alias
    for name, info in DefectRecord.model_fields.items()
    if name not in ("rectangle", "polygons")
]


_OF_PICTURE = (
    "source",
    "id",
    "taken_at",
    "inspected_at",
    "decision",
    "reason",
    "largest_px",
    "novelty",
    "model",
    "machine",
)
_PICTURE_COLUMNS = [*_OF_PICTURE, "defects", *Part.model_fields]


def _picture_row(record: InspectionRecord) -> list[object]:
    values = [getattr(record, column) for column in _OF_PICTURE]
    return [*values, len(record.defects), *record.part.model_dump().values()]


def _row(record: InspectionRecord, defect: DefectRecord) -> list[object]:
    values = defect.model_dump(by_alias=True)
    values["zones"] = "; ".join(defect.zones)
    return [record.source, record.id, record.decision, *(values[column] for column in _COLUMNS)]


def is_result(folder: Path) -> bool:
    """Whether a folder holds the masks or overlays of a results folder."""
    return folder.name in PICTURES and (folder.parent / LINES).exists()


def _mask_picture(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return mask.view(np.uint8) * np.uint8(255)


def _write_picture(file: Path, picture: NDArray[np.uint8], suffix: str) -> None:
    """Encode and write a picture whole; the mask takes as long as the overlay, and is written beside it."""
    part = file.with_name(f"{file.name}.part")
    write_new(part, encode(picture, suffix))
    part.replace(file)
