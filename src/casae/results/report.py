"""One self-contained HTML file that a quality engineer would print."""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.errors import ImageError
from casae.image import Image, read_image
from casae.inspection.bundle import Manifest
from casae.inspection.regions import Rectangle, upright_crop
from casae.results.folder import write_whole
from casae.results.overlay import encode, to_rgb
from casae.results.record import DefectRecord, InspectionRecord

CARDS, ROWS, DEFECTS_A_CARD = 60, 1000, 8
PICTURE_PX, CROP_PX = 900, 220
CROP_CONTEXT = 0.15  # of the rectangle's longer side, around the crop that a person sees


@dataclass(frozen=True)
class _Card:
    record: InspectionRecord
    picture: str
    defects: list[tuple[str | None, DefectRecord]]
    more: int


@dataclass(frozen=True)
class _ClassRow:
    name: str
    defects: int
    images: int
    longest: float
    median: float
    area: float


def write_report(
    file: Path,
    records: Sequence[InspectionRecord],
    failures: Mapping[str, str],
    folder: Path,
    manifest: Manifest,
) -> None:
    """Write the report of `records`, whose overlays stand in `folder`.

    Raises:
        OutputError: the file cannot be written.
    """
    import jinja2

    environment = jinja2.Environment(loader=jinja2.PackageLoader("casae.results"), autoescape=True)
    environment.filters["size"] = _size
    defective = [record for record in records if record.defects]
    shown = sorted(defective, key=lambda record: -record.largest_px)[:CARDS]
    first = records[0] if records else None
    scale = first.mm_per_pixel if first else None
    html = environment.get_template("report.html.j2").render(
        title=folder.name,
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        manifest=manifest,
        model_sha256=first.model_sha256 if first else "",
        gs=first.gs if first else manifest.gs,
        scale=scale,
        unit="mm" if scale else "px",
        records=records,
        rows=records[:ROWS],
        decisions=Counter(record.decision for record in records),
        defect_count=sum(len(record.defects) for record in records),
        classes=_class_rows(records, manifest.classes, bool(scale)),
        failures=failures,
        defective=len(defective),
        cards=[_card(record, folder) for record in shown],
    )
    write_whole(file, html, "free space, start again")


def _class_rows(records: Sequence[InspectionRecord], classes: Sequence[str], in_mm: bool) -> list[_ClassRow]:
    rows = []
    for name in classes:
        found = [(record.path, d) for record in records for d in record.defects if d.defect_class == name]
        if found:
            lengths = [(d.length_mm if in_mm else d.length_px) or 0.0 for _, d in found]
            area = sum((d.area_mm2 if in_mm else d.area_px) or 0.0 for _, d in found)
            images = len({path for path, _ in found})
            rows.append(_ClassRow(name, len(found), images, max(lengths), median(lengths), area))
    return rows


def _card(record: InspectionRecord, folder: Path) -> _Card:
    overlay = read_image(folder / "overlays" / f"{record.name}.jpg")
    try:
        image: Image | None = read_image(record.path)
    except ImageError:  # moved since: the report does without crops
        image = None
    shown = record.defects[:DEFECTS_A_CARD]
    pairs = [(None if image is None else _uri(_crop(image, defect)), defect) for defect in shown]
    return _Card(record, _uri(_limited(overlay, PICTURE_PX)), pairs, len(record.defects) - len(shown))


def _crop(image: Image, defect: DefectRecord) -> NDArray[np.uint8]:
    centre = (defect.centre_x_px, defect.centre_y_px)
    rectangle = Rectangle(centre, defect.length_px, defect.width_px, defect.angle_deg)
    crop = upright_crop(image, rectangle.grown(max(2.0, CROP_CONTEXT * defect.length_px)))
    return _limited(to_rgb(crop), CROP_PX)


def _limited(picture: Image, longest: int) -> NDArray[np.uint8]:
    scale = longest / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _uri(picture: NDArray[np.uint8]) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(encode(picture, ".jpg")).decode()


def _size(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
