"""One self-contained HTML file that a quality engineer would print."""

import base64
import hashlib
import heapq
import itertools
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.calibration.calibration import Calibration
from casae.config import MAX_MEGAPIXELS
from casae.decoding import decode_image, read_file
from casae.errors import ImageError
from casae.files import common_folder, path_of, printable, within, write_whole
from casae.image import Image, brightened, encode
from casae.inspection.inspector import Inspector
from casae.inspection.measurement import size
from casae.inspection.overlay import crop_to_see, scaled, to_rgb
from casae.inspection.record import DefectRecord, InspectionRecord
from casae.results.lines import Records

CARDS, ROWS, DEFECTS_A_CARD = 60, 1000, 8
PICTURE_PX, LONG_PX, CROP_PX = 900, 1800, 220
LONG = 3  # times as wide as high; such a picture gets the whole width of the page
SEVERITY = ("OK", "REVIEW", "NG")
MAILED_QUALITY = 80  # of JPEG: a report of sixty images has half the megabytes of OpenCV's 95
DECODERS = 2  # cards at a time


@dataclass(frozen=True)
class _Card:
    record: InspectionRecord
    picture: str | None
    long: bool
    defects: list[tuple[str | None, DefectRecord]]
    more: int


@dataclass(frozen=True)
class _Row:
    decision: str
    source: str
    reason: str
    defects: int
    largest: float


@dataclass
class _ClassRow:
    name: str
    lengths: "array[float]" = field(default_factory=lambda: array("d"))
    area: float = 0.0
    images: int = 0

    @property
    def defects(self) -> int:
        return len(self.lengths)

    @property
    def longest(self) -> float:
        return max(self.lengths)

    @property
    def median(self) -> float:
        return median(self.lengths)


class _Summary:
    """What the report says about all records, read once and not kept."""

    def __init__(self, records: Iterable[InspectionRecord], classes: Sequence[str]) -> None:
        self.decisions = Counter[str]()
        self.first: InspectionRecord | None = None
        self._rows: dict[str, list[_Row]] = {decision: [] for decision in reversed(SEVERITY)}
        self.folders = set[Path]()
        self.defective = 0
        self._classes = {name: _ClassRow(name) for name in classes}
        self.shown = heapq.nlargest(CARDS, self._defective(records), key=_urgency)
        self.classes = [row for row in self._classes.values() if row.defects]
        self.defect_count = sum(row.defects for row in self.classes)

    @property
    def rows(self) -> list[_Row]:
        """NG first, then REVIEW."""
        return list(itertools.chain(*self._rows.values()))[:ROWS]

    def _defective(self, records: Iterable[InspectionRecord]) -> Iterator[InspectionRecord]:
        for record in records:
            self._add(record)
            if record.defects:
                yield record

    def _add(self, record: InspectionRecord) -> None:
        self.first = self.first or record
        self.decisions[record.decision] += 1
        self.defective += bool(record.defects)
        self.folders.add(Path(record.source).parent)
        in_mm, rows = bool(self.first.mm_per_pixel), self._rows[record.decision]
        if len(rows) < ROWS:
            areas = [(defect.area_mm2 if in_mm else defect.area_px) or 0.0 for defect in record.defects]
            rows.append(_Row(record.decision, record.source, record.reason, len(areas), max(areas, default=0.0)))
        for defect in record.defects:
            row = self._classes.setdefault(defect.defect_class, _ClassRow(defect.defect_class))
            row.lengths.append((defect.length_mm if in_mm else defect.length_px) or 0.0)
            row.area += (defect.area_mm2 if in_mm else defect.area_px) or 0.0
        for name in {defect.defect_class for defect in record.defects}:
            self._classes[name].images += 1


def _urgency(record: InspectionRecord) -> tuple[int, int]:
    return SEVERITY.index(record.decision), record.largest_px


def write_report(
    file: Path,
    records: Records,
    failures: Mapping[str, str],
    folder: Path,
    inspector: Inspector,
    replaced: Sequence[str] = (),
) -> None:
    """Write the report of `records`, which `inspector` made and whose overlays stand in `folder`.

    Args:
        file: to write.
        records: what it shows.
        failures: source -> why it could not be inspected.
        folder: with the overlays.
        inspector: that made the records.
        replaced: sources that had another picture before, whose record is kept.

    Raises:
        OutputError: the file cannot be written.
    """
    import jinja2

    environment = jinja2.Environment(loader=jinja2.PackageLoader("casae.results"), autoescape=True)
    environment.filters["size"] = size
    manifest = inspector.manifest
    found = _Summary(records, manifest.classes)
    first = found.first
    scale = first.mm_per_pixel if first else None
    common = common_folder(found.folders)
    with ThreadPoolExecutor(DECODERS) as pool:
        calibration = inspector.conditions.calibration
        cards = list(pool.map(_card, found.shown, itertools.repeat(folder), itertools.repeat(calibration)))
    html = environment.get_template("report.html.j2").render(
        title=printable(folder.absolute().name),
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        manifest=manifest,
        rules=inspector.rules,
        model_sha256=first.model_sha256 if first else "",
        thresholds=_conditions(first) if first else "",
        scale=scale,
        calibration=calibration,
        first=first,
        unit="mm" if scale else "px",
        images=len(records),
        found=found,
        common=common,
        within=within,
        failures=failures,
        replaced=len(replaced),
        roi=_share_looked_at(inspector),
        sure=sure,
        cards=cards,
    )
    write_whole(file, html, "free space, start again")


def sure(probability: float) -> str:
    """How sure a class is, in per cent; never entirely."""
    return "over 99 %" if probability >= 0.995 else f"{100 * probability:.0f} %"


def _share_looked_at(inspector: Inspector) -> str:
    """What part of each picture the region of interest covers, in per cent; empty without one."""
    return "" if inspector.roi is None else f"{100 * inspector.roi.mean():.0f} %"


def _card(record: InspectionRecord, folder: Path, calibration: Calibration | None) -> _Card:
    overlay = _readable(folder / "overlays" / path_of(f"{record.name}.jpg"), None)
    image = _readable(path_of(record.source), record.sha256, record.width_px * record.height_px / 1e6)
    image = None if image is None else brightened(image, record.full_scale)
    if image is not None and record.straightened:  # its places are in the straightened picture
        image = calibration.straightened(image) if calibration is not None else None
    shown = record.defects[:DEFECTS_A_CARD]
    pairs = [(None if image is None else _crop(image, defect), defect) for defect in shown]
    long = record.width_px >= LONG * record.height_px
    picture = None if overlay is None else _uri(_limited(overlay, LONG_PX if long else PICTURE_PX))
    return _Card(record, picture, long, pairs, len(record.defects) - len(shown))


def _readable(file: Path, sha256: str | None, megapixels: float = 0) -> Image | None:
    """None for an image that was moved, replaced or damaged since, or is too large by now: the report does without."""
    most = max(MAX_MEGAPIXELS, megapixels)  # it was inspected, so nobody is surprised by its size
    try:
        data = read_file(file, most)
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            return None
        return decode_image(data, str(file), most)
    except (ImageError, MemoryError, cv2.error):
        return None


def _crop(image: Image, defect: DefectRecord) -> str | None:
    """None where a long defect's crop does not fit into the memory."""
    try:
        return _uri(_limited(to_rgb(crop_to_see(image, defect.enclosing)), CROP_PX))
    except (MemoryError, cv2.error):
        return None


def _limited(picture: Image, longest: int) -> NDArray[np.uint8]:
    scale = longest / max(picture.shape[:2])
    return picture if scale >= 1 else scaled(picture, scale, cv2.INTER_AREA)


def _uri(picture: NDArray[np.uint8]) -> str:
    data = encode(picture, ".jpg", cv2.IMWRITE_JPEG_QUALITY, MAILED_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def _conditions(record: InspectionRecord) -> str:
    """In words: a core that is no smaller changes nothing, and one look is usual."""
    gs, core_gs = record.gs, record.core_gs
    core = f", core {core_gs:g}" if core_gs is not None and core_gs < gs else ""
    looks = f", {record.looks} looks at each" if record.looks > 1 else ""
    return f", threshold Gs {gs:g}{core}{looks}"
