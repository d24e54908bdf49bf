"""Pictures of an inspection, made from its record and the picture that was inspected."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from casae.decoding import decode_image, read_file
from casae.errors import ImageError
from casae.files import path_of
from casae.image import Image, brightened, encode, to_8bit
from casae.inspection.inspector import Inspector
from casae.inspection.overlay import Mark, crop_to_see, draw_marks, label, to_rgb, to_see
from casae.inspection.record import DefectRecord, InspectionRecord
from casae.labels.results import filled
from casae.records.queries import kept_at
from casae.service.home import Home
from casae.service.problems import ProblemError

MEDIA = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8", "image/jpeg"),
    (b"BM", "image/bmp"),
    (b"RIFF", "image/webp"),
    (b"II", "image/tiff"),
    (b"MM", "image/tiff"),
)


QUICK = 1  # of nine levels of compression: a picture is asked for once


def original(engine: Engine, home: Home, record: InspectionRecord) -> tuple[bytes, str]:
    """The bytes of the picture and their media type.

    It is looked for among the pictures of the home, where a watch moved it, and where it was. Only the very bytes that
    were inspected count, so that no path leads to anything else.

    Raises:
        ProblemError: it is nowhere any more.
    """
    moved = kept_at(engine, record.id)
    for place in (home.image(record.sha256), moved and path_of(moved), path_of(record.source)):
        if place and place.is_absolute():
            data = _bytes(place)
            if data is not None and hashlib.sha256(data).hexdigest() == record.sha256:
                media = next((name for start, name in MEDIA if data.startswith(start)), "application/octet-stream")
                return data, media
    raise ProblemError(410, f"{record.source}: its picture is not kept any more; its record is")


def marked(engine: Engine, home: Home, record: InspectionRecord, marks: bool) -> bytes:
    """The picture as JPEG, of a size people can look at, its defects marked or not.

    Raises:
        ProblemError: it is nowhere any more, or places are in the straightened picture.
    """
    drawn = [Mark(each.number, label(each.number, each.defect_class, each), each.enclosing) for each in record.defects]
    image = _image(engine, home, record)
    return encode(draw_marks(image, mask_of(record), drawn) if marks else to_see(image), ".jpg")


def seen(engine: Engine, home: Home, record: InspectionRecord) -> bytes:
    """The picture as PNG of 8 bits, pixel for pixel. Raises as `marked`."""
    return encode(to_8bit(_image(engine, home, record)), ".png", cv2.IMWRITE_PNG_COMPRESSION, QUICK)


def probability(engine: Engine, home: Home, record: InspectionRecord, inspector: Inspector) -> bytes:
    """P(defect) of each pixel as gray PNG, 255 is certain, by the model that inspected it. Raises as `marked`."""
    found = inspector.probability(_image(engine, home, record))
    return encode(np.rint(found * 255).astype(np.uint8), ".png", cv2.IMWRITE_PNG_COMPRESSION, QUICK)


def crop(engine: Engine, home: Home, record: InspectionRecord, defect: DefectRecord) -> bytes:
    """A defect, upright, as JPEG. Raises as `marked`."""
    return encode(to_rgb(crop_to_see(_image(engine, home, record), defect.enclosing)), ".jpg")


def mask(record: InspectionRecord) -> bytes:
    """The defective pixels as PNG, 255 where there is a defect."""
    return encode(mask_of(record).view(np.uint8) * np.uint8(255), ".png")


def mask_of(record: InspectionRecord) -> NDArray[np.bool_]:
    """The defective pixels, bool (H, W), as the outlines say."""
    found = np.zeros((record.height_px, record.width_px), bool)
    for defect in record.defects:
        pixels, left, top = filled(defect.polygons)
        found[top : top + pixels.shape[0], left : left + pixels.shape[1]] |= pixels
    return found


def _image(engine: Engine, home: Home, record: InspectionRecord) -> Image:
    if record.straightened:
        rule = "was straightened before it was inspected, so its places are not those of the picture"
        raise ProblemError(410, f"{record.id}: {rule}; see GET /api/v1/inspections/ID/image")
    data, _ = original(engine, home, record)
    return brightened(decode_image(data, record.source), record.full_scale)


def _bytes(place: Path) -> bytes | None:
    try:
        return read_file(place)
    except ImageError:
        return None
