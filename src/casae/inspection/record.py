"""One result of one image, the same on the command line, in JSON lines and in the report."""

import functools
import hashlib
import platform
from datetime import datetime
from importlib import metadata
from typing import Literal

from pydantic import Field

from casae.config import Frozen
from casae.inspection.inspection import Conditions, Defect, Inspection, Part
from casae.inspection.measurement import Measures
from casae.inspection.regions import Rectangle
from casae.inspection.rules import AcceptanceRules
from casae.inspection.verdict import Judged, Kind

Point = tuple[float, float]
PLAIN_NAME = r"^[^/\\\x00-\x1f]*[^/\\\x00-\x1f.][^/\\\x00-\x1f]*$"  # no way into another folder


JUDGED_BY = (  # fields that decide whether an earlier inspection of a picture still holds
    "model_sha256",
    "gs",
    "core_gs",
    "min_area_px",
    "join_px",
    "mm_per_pixel",
    "calibration_sha256",
    "straightened",
    "rules_sha256",
    "roi_sha256",
    "zones_sha256",
    "looks",
    "precision",
    "classifier_precision",
)


class _Named(Frozen):
    number: int = Field(description="1 is the largest defect of the image")
    defect_class: str = Field(alias="class", description="name of the class; 'unknown' for a defect of none of them")
    probability: float = Field(description="of that class, 0..1")
    rectangle: tuple[Point, Point, Point, Point] = Field(description="corners of the minimum enclosing rectangle")


class DefectRecord(Measures, _Named):
    """One defect: its name, its measures, its outline. Points are (x, y) in px, pixel centres, origin top left."""

    zones: tuple[str, ...] = Field(description="of the part that it touches")
    novelty: float | None = Field(
        description="how unlike learned defects, 1 is the limit; null where the model cannot tell"
    )
    nearest_class: str | None = Field(description="that an unknown defect would be; null for others")
    polygons: tuple[tuple[Point, ...], ...] = Field(description="outlines round its pixels, then those of holes")

    @property
    def judged(self) -> Judged:
        """What a verdict looks at."""
        return Judged(self.defect_class, self.probability, self, self.polygons, self.zones)

    @property
    def enclosing(self) -> Rectangle:
        """The minimum enclosing rectangle, whose corners are `rectangle`."""
        return Rectangle((self.centre_x_px, self.centre_y_px), self.length_px, self.width_px, self.angle_deg)


class DecisionRecord(Frozen):
    """What decided on the part."""

    kind: Kind = Field(description="of the reason")
    rule: str | None = Field(
        description="its name, or class and zone; 'picture', 'review_below', 'review_novelty'; null where none applied"
    )
    defect_class: str | None = Field(alias="class", description="of the defects that decided; null for no class")
    zone: str | None = Field(description="of the rule that decided; null without one")
    field: str | None = Field(description="measure that decided; null without one")
    value: float | None = Field(
        description="of that measure; of brightness, the picture's mean gray, of novelty its novelty"
    )
    limit: float | None = Field(description="what was allowed; at REVIEW, what would have passed")


class InspectionRecord(Frozen):
    """One inspection of one image: a line of `inspections.jsonl`."""

    schema_version: Literal[1] = 1
    id: str = Field(pattern="^[0-9a-f-]{36}$", description="UUIDv7; sorted by it, records stand in the order of time")
    inspected_at: str = Field(description="ISO 8601 with the offset from UTC")
    source: str = Field(description="the file, absolute; from Python as given, 'array' or 'bytes' without one")
    sha256: str = Field(description="of the file")
    file_bytes: int | None = Field(description="size of the file when it was read; null without one, as the next two")
    file_modified_ns: int | None = Field(description="when it was changed last, in ns since 1970")
    file_inode: int | None = Field(description="its number on its drive")
    name: str | None = Field(
        default=None,
        pattern=PLAIN_NAME,
        description="in a results folder its pictures are masks/NAME.png and overlays/NAME.jpg",
    )
    part: Part = Field(description="that the picture shows, as far as somebody said")
    camera: str | None = Field(description="that took the picture; null where nobody said")
    taken_at: str | None = Field(
        description="when, as somebody said, else when the file was changed last; null without both"
    )
    width_px: int
    height_px: int
    full_scale: float = Field(
        description="that counts as white, of the largest value of its type: below 1 for 10 bits in 16"
    )
    model: str
    model_sha256: str
    gs: float = Field(description="threshold, 0..255")
    core_gs: float = Field(description="that a pixel of every defect passes")
    min_area_px: int = Field(description="smaller regions are not reported")
    join_px: float = Field(description="pieces of one class at most so far apart are one defect; 0 joins none")
    mm_per_pixel: float | None
    scale_error_percent: float | None = Field(
        description="that lengths in mm may be wrong by, areas by twice as much; null without a calibration"
    )
    calibration: str | None = Field(
        description="its name; null where the scale was given as a number, or there is none"
    )
    calibration_sha256: str | None = Field(description="of the calibration")
    straightened: bool = Field(description="whether the picture was freed from what the lens bends; places are in it")
    rules_sha256: str = Field(description="of the acceptance rules that decided")
    roi_sha256: str | None = Field(description="of the region of interest; null without one")
    zones_sha256: str | None = Field(description="of the zones; null without any")
    looks: int = Field(default=1, description="at the picture, turned and mirrored, of which the mean counts")
    precision: str = Field(description="that the segmenter computed in")
    classifier_precision: str | None = Field(description="that the classifier computed in; null without one")
    casae_version: str
    machine: str | None = Field(description="network name of the computer")
    decision: Literal["OK", "REVIEW", "NG"]
    reason: str = Field(description="the sentence made from `decided_by`")
    decided_by: DecisionRecord
    defects: tuple[DefectRecord, ...]
    novelty: float | None = Field(
        description="how unlike learned pictures, 1 is the model's limit; null where it cannot tell"
    )
    brightness: float | None = Field(default=None, description="mean gray, of full scale; null before it was recorded")
    sharpness: float | None = Field(
        default=None,
        description="mean difference of neighbours in a row, in deviations of the picture; null before it was recorded",
    )
    specks: int = Field(description="regions as sure as a defect, but smaller than `min_area_px`")

    @property
    def largest_px(self) -> int:
        """Area of the largest defect, 0 without one."""
        return max((defect.area_px for defect in self.defects), default=0)


def record_of(inspection: Inspection) -> InspectionRecord:
    """What is written about an inspection; it needs nothing else."""
    conditions, verdict, file = inspection.conditions, inspection.verdict, inspection.file
    known = conditions.calibration
    return InspectionRecord(
        id=inspection.id,
        inspected_at=_told(inspection.time),
        source=inspection.source,
        sha256=inspection.sha256,
        file_bytes=file.size if file else None,
        file_modified_ns=file.modified_ns if file else None,
        file_inode=file.inode if file else None,
        part=inspection.part,
        camera=inspection.camera,
        taken_at=_told(inspection.taken_at) if inspection.taken_at else None,
        width_px=inspection.image.shape[1],
        height_px=inspection.image.shape[0],
        full_scale=inspection.full_scale,
        model=conditions.model,
        model_sha256=conditions.model_sha256,
        gs=conditions.gs,
        core_gs=conditions.core_gs,
        min_area_px=conditions.min_area_px,
        join_px=conditions.join_px,
        mm_per_pixel=conditions.mm_per_pixel,
        scale_error_percent=None if known is None else known.error(conditions.straightened),
        calibration=None if known is None else known.name,
        calibration_sha256=None if known is None else known.sha256,
        straightened=conditions.straightened,
        rules_sha256=rules_sha256(conditions.rules),
        roi_sha256=conditions.roi_sha256,
        zones_sha256=conditions.zones_sha256,
        looks=conditions.looks,
        precision=conditions.precision,
        classifier_precision=conditions.classifier_precision,
        casae_version=version("casae"),
        machine=platform.node() or None,
        decision=verdict.decision,
        reason=verdict.reason,
        decided_by=DecisionRecord.model_validate(
            {
                "kind": verdict.kind,
                "rule": verdict.rule,
                "class": verdict.defect_class,
                "zone": verdict.zone,
                "field": verdict.field,
                "value": verdict.value,
                "limit": verdict.limit,
            }
        ),
        defects=tuple(_defect(defect) for defect in inspection.defects),
        novelty=inspection.novelty,
        brightness=round(inspection.brightness, 4),
        sharpness=round(inspection.sharpness, 4),
        specks=inspection.specks,
    )


def judged_by(conditions: Conditions) -> tuple[object, ...]:
    """The values of `JUDGED_BY` that an inspection under these conditions will have."""
    known, calibration = vars(conditions), conditions.calibration
    made = {
        "rules_sha256": rules_sha256(conditions.rules),
        "calibration_sha256": calibration.sha256 if calibration else None,
    }
    return tuple((made | known)[name] for name in JUDGED_BY)


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
            "zones": defect.zones,
            "novelty": defect.novelty,
            "nearest_class": defect.nearest,
            "polygons": [outline.tolist() for outline in defect.region.outlines],
            **dict(defect.measures),
        }
    )


def _told(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")
