"""The picture a person checks: defective pixels green, minimum enclosing rectangles red (paper, Figures 2 and 6)."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.image import Image, encode, scaled_shape, to_8bit
from casae.inspection.inspection import Inspection
from casae.inspection.measurement import Measures, size
from casae.inspection.regions import Rectangle, upright_crop

GREEN, RED, WHITE = (0, 200, 0), (230, 30, 30), (255, 255, 255)  # RGB
GREEN_SHARE = 0.3  # of the colour of a defective pixel: what lies under it is to be seen
SHORTEST_SIDE = 480  # smaller images are enlarged, or labels would cover them
LONGEST_SIDE = 2000  # larger ones are reduced
TEXT, TEXT_SIDE = 0.55, 640  # size of the text, in OpenCV's units, where the shorter side is so many px
LABELLED = 300  # defects that are labelled, the largest
CROP_CONTEXT = 0.15  # of the rectangle's longer side, around the crop that a person sees
FONT = cv2.FONT_HERSHEY_SIMPLEX

Box = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True)
class Mark:
    """What is drawn of a defect: its number, what stands beside it, its minimum enclosing rectangle."""

    number: int
    text: str
    rectangle: Rectangle


def draw_overlay(inspection: Inspection) -> NDArray[np.uint8]:
    """The image with its defects marked; see `draw_marks`."""
    marks = [
        Mark(each.number, label(each.number, each.name, each.measures), each.region.rectangle)
        for each in inspection.defects
    ]
    return draw_marks(inspection.image, inspection.mask, marks)


def draw_marks(image: Image, mask: NDArray[np.bool_], marks: Sequence[Mark]) -> NDArray[np.uint8]:
    """An image with defects marked, (h, w, 3) uint8 RGB, enlarged or reduced to a size people can look at.

    Outlines and rectangles lie outside the defects, or they would hide hairlines.

    Args:
        image: (H, W) or (H, W, 3).
        mask: defective pixels, bool (H, W).
        marks: of the defects.
    """
    scale = picture_scale(image.shape)
    picture = to_see(image)
    line = max(1, round(min(picture.shape[:2]) / 400))
    white = mask.view(np.uint8) * np.uint8(255)  # so that a hairline is not rounded away
    found = scaled(white, scale, cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST) > 0
    picture[found] = ((1 - GREEN_SHARE) * picture[found] + GREEN_SHARE * np.array(GREEN)).astype(np.uint8)
    around = np.ones((2 * line + 1, 2 * line + 1), np.uint8)
    picture[(cv2.dilate(found.view(np.uint8), around) > 0) & ~found] = GREEN
    gap = (2.5 * line + 1) / scale
    rectangles = [(mark.rectangle.grown(gap).corners + 0.5) * scale - 0.5 for mark in marks]
    cv2.polylines(picture, [_fixed(corners) for corners in rectangles], True, RED, line, cv2.LINE_AA, 4)
    defects = [_around(corners) for corners in rectangles]
    labels: list[Box] = []
    for mark, corners in zip(marks[:LABELLED], rectangles, strict=False):  # of more, no picture has room
        labels += _write(picture, (mark.text, str(mark.number)), corners, line, labels, defects[:LABELLED])
    return picture


def to_see(image: Image) -> NDArray[np.uint8]:
    """An image (H, W) or (H, W, 3), enlarged or reduced to a size people can look at, (h, w, 3) uint8 RGB."""
    scale = picture_scale(image.shape)
    return to_rgb(scaled(image, scale, cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))


def crop_to_see(image: Image, rectangle: Rectangle) -> Image:
    """A defect, upright, with a little around it: (h, w) or (h, w, 3), dtype of the image."""
    return upright_crop(image, rectangle.grown(max(2.0, CROP_CONTEXT * rectangle.length)))


def label(number: int, name: str, sizes: Measures) -> str:
    """What stands beside a defect: number, class, length in the best unit known."""
    length = f"{sizes.length_px:.0f} px" if sizes.length_mm is None else f"{size(sizes.length_mm)} mm"
    return f"{number} {name} {length}"


def to_rgb(image: Image) -> NDArray[np.uint8]:
    """Any image -> a copy (H, W, 3) uint8."""
    picture = to_8bit(image)
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB) if picture.ndim == 2 else picture.copy()


def picture_scale(shape: tuple[int, ...]) -> float:
    """Factor that brings an image to a size for looking: a whole one up, so that pixels stay square, or down."""
    longest, shortest = max(shape[:2]), min(shape[:2])
    if longest > LONGEST_SIDE:
        return 1 / -(-longest // LONGEST_SIDE)
    return float(max(1, min(SHORTEST_SIDE // shortest, LONGEST_SIDE // longest)))


def scaled(image: Image, scale: float, interpolation: int) -> Image:
    """Resize by a factor; at least one pixel a side."""
    if scale == 1:
        return image.copy()
    return cv2.resize(image, scaled_shape(image.shape, scale)[::-1], interpolation=interpolation)


def _fixed(points: Image) -> NDArray[np.int32]:
    """Points in OpenCV's fixed-point form with 4 fractional bits."""
    return np.rint(points * 16).astype(np.int32)


def _write(
    picture: NDArray[np.uint8],
    texts: Sequence[str],
    corners: NDArray[np.float64],
    line: int,
    labels: Sequence[Box],
    defects: Sequence[Box],
) -> list[Box]:
    """Write the first text that fits beside a rectangle without covering `labels`, where it covers few `defects`.

    Returns:
        The text's box; nothing where none fits: the report lists every defect.
    """
    size = TEXT * max(1.0, min(picture.shape[:2]) / TEXT_SIDE)
    for text in texts:
        (text_width, text_height), below = cv2.getTextSize(text, FONT, size, line)
        boxes = _places(corners, text_width + 4, text_height + below + 3, picture.shape)
        free = [box for box in boxes if not any(_overlap(box, other) for other in labels)]
        if free:
            x, y, right, bottom = min(free, key=lambda box: sum(_overlap(box, other) for other in defects))
            cv2.rectangle(picture, (x, y), (right, bottom), RED, cv2.FILLED)
            cv2.putText(picture, text, (x + 2, y + text_height + 2), FONT, size, WHITE, line, cv2.LINE_AA)
            return [(x, y, right, bottom)]
    return []


def _places(corners: NDArray[np.float64], wide: int, high: int, shape: tuple[int, ...]) -> list[Box]:
    """Boxes of a size above, below, right and left of a rectangle that lie in the picture; else the nearest one."""
    left, top, right, bottom = _around(corners)
    middle = (top + bottom - high) / 2
    corner = [(left, top - high - 3), (left, bottom + 3), (right + 3, middle), (left - wide - 3, middle)]
    boxes = [(int(x), int(y), int(x) + wide, int(y) + high) for x, y in corner]
    inside = [box for box in boxes if min(box) >= 0 and box[2] <= shape[1] and box[3] <= shape[0]]
    x, y = max(0, min(left, shape[1] - wide)), max(0, min(top, shape[0] - high))
    return inside or [(x, y, x + wide, y + high)]


def _around(corners: NDArray[np.float64]) -> Box:
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    return int(left), int(top), int(right), int(bottom)


def _overlap(first: Box, second: Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def show(inspection: Inspection) -> str:
    """An inspection as HTML for a notebook: verdict, picture, table of its defects."""
    data = base64.b64encode(encode(draw_overlay(inspection), ".jpg")).decode()
    unit = "px" if inspection.conditions.mm_per_pixel is None else "mm"
    rows = []
    for defect in inspection.defects:
        sizes = defect.measures
        length, width, area = sizes.length_px, sizes.width_px, float(sizes.area_px)
        if sizes.length_mm is not None and sizes.width_mm is not None and sizes.area_mm2 is not None:
            length, width, area = sizes.length_mm, sizes.width_mm, sizes.area_mm2
        cells = (defect.number, escape(defect.name), size(length), size(width), size(area))
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    heads = ("#", "class", f"length, {unit}", f"width, {unit}", f"area, {unit}2")
    head = "".join(f"<th>{name}</th>" for name in heads)
    table = f"<table><tr>{head}</tr>{''.join(rows)}</table>" if rows else ""
    verdict = f"<p><b>{inspection.verdict.decision}</b> {escape(inspection.verdict.reason)}</p>"
    return f'{verdict}<img style="max-width:640px" alt="defects marked" src="data:image/jpeg;base64,{data}">{table}'
