"""One result of one image, the same on the command line, in JSON lines and in the report."""

import functools
import hashlib
import platform
from dataclasses import asdict
from importlib import metadata
from typing import Literal

from pydantic import Field

from casae.config import Frozen
from casae.inspection.inspection import Defect, Inspection
from casae.inspection.inspector import Inspector
from casae.inspection.verdict import AcceptanceRules

Point = tuple[float, float]


class DefectRecord(Frozen):
    """One defect. Points are (x, y) in pixels of the original image, pixel centres, origin top left."""

    number: int = Field(description="1 is the largest defect of the image")
    defect_class: str = Field(alias="class", description="name of the class")
    probability: float = Field(description="of that class, 0..1")
    rectangle: tuple[Point, Point, Point, Point] = Field(description="corners of the minimum enclosing rectangle")
    angle_deg: float = Field(description="of its longer side, counter-clockwise as seen, 0 <= angle < 180")
    length_px: float = Field(description="longer side of the rectangle")
    width_px: float = Field(description="shorter side of the rectangle")
    area_px: int = Field(description="number of defective pixels")
    perimeter_px: float = Field(description="length of the outer outline, through the centres of its pixels")
    centre_x_px: float = Field(description="centre of the rectangle")
    centre_y_px: float = Field(description="centre of the rectangle, downwards")
    contrast: float | None = Field(description="mean inside minus mean around, in full scales; negative is darker")
    length_mm: float | None = Field(description="null without a scale, as the next three")
    width_mm: float | None = Field(description="shorter side of the rectangle")
    area_mm2: float | None = Field(description="defective area")
    perimeter_mm: float | None = Field(description="length of the outer outline")
    polygons: tuple[tuple[tuple[int, int], ...], ...] = Field(description="outline through boundary pixels, then holes")


class InspectionRecord(Frozen):
    """One image: a line of `inspections.jsonl`."""

    schema_version: Literal[1] = 1
    path: str = Field(description="the file, absolute")
    name: str = Field(description="its pictures are masks/NAME.png and overlays/NAME.jpg")
    sha256: str = Field(description="of the file")
    width_px: int
    height_px: int
    model: str
    model_sha256: str
    gs: float = Field(description="threshold, 0..255")
    core_gs: float | None = Field(
        default=None,
        description="that a pixel of every defect passes; null in older lines",
    )
    min_area_px: int = Field(description="smaller regions are not reported")
    mm_per_pixel: float | None
    rules_sha256: str = Field(description="of the acceptance rules that decided")
    roi_sha256: str | None = Field(default=None, description="of the region of interest; null without one")
    precision: str | None = Field(default=None, description="that the segmenter computed in; null in older lines")
    classifier_precision: str | None = Field(
        default=None, description="that the classifier computed in; null without one and in older lines"
    )
    casae_version: str | None = Field(default=None, description="null in older lines")
    inspected_at: str | None = Field(default=None, description="ISO 8601 with the offset from UTC; null in older lines")
    machine: str | None = Field(default=None, description="network name of the computer; null in older lines")
    decision: Literal["OK", "REVIEW", "NG"]
    reason: str = Field(description="the rule that decided")
    defects: tuple[DefectRecord, ...]

    @property
    def largest_px(self) -> int:
        """Area of the largest defect, 0 without one."""
        return max((defect.area_px for defect in self.defects), default=0)


def to_record(inspection: Inspection, name: str, inspector: Inspector) -> InspectionRecord:
    """What is written about an inspection by `inspector`; `name` is that of its pictures."""
    return InspectionRecord(
        path=inspection.source,
        name=name,
        sha256=inspection.sha256,
        width_px=inspection.image.shape[1],
        height_px=inspection.image.shape[0],
        model=inspection.model,
        model_sha256=inspection.model_sha256,
        gs=inspection.gs,
        core_gs=inspection.core_gs,
        min_area_px=inspector.min_area_px,
        mm_per_pixel=inspector.mm_per_pixel,
        rules_sha256=rules_sha256(inspection.rules),
        roi_sha256=inspector.roi_sha256,
        precision=inspector.precision,
        classifier_precision=inspector.classifier_precision,
        casae_version=version("casae"),
        inspected_at=inspection.time.isoformat(timespec="milliseconds"),
        machine=platform.node() or None,
        decision=inspection.verdict.decision,
        reason=inspection.verdict.reason,
        defects=tuple(_defect(defect) for defect in inspection.defects),
    )


def rules_sha256(rules: AcceptanceRules) -> str:
    """Hash of acceptance rules."""
    return hashlib.sha256(rules.model_dump_json().encode()).hexdigest()


@functools.cache
def version(package: str) -> str:
    """Of an installed package; reading it takes a millisecond."""
    return metadata.version(package)


def _defect(defect: Defect) -> DefectRecord:
    return DefectRecord.model_validate(
        {
            "number": defect.number,
            "class": defect.name,
            "probability": defect.probability,
            "rectangle": defect.region.rectangle.corners.round(2).tolist(),
            "polygons": [contour.tolist() for contour in defect.region.contours],
            **asdict(defect.measures),
        }
    )
