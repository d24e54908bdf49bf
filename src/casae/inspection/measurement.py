"""How large a defect is: pixels, and millimetres where the scale is known."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from casae.config import Frozen
from casae.image import FULL_SCALE, Image
from casae.inspection.regions import Region

RING_PX = 6  # width of the surrounding that contrast is measured against
WINDOW_PX = 2**18  # bounding boxes that are looked at at once; larger ones in cells
CELL_PX = 256
DIGITS = 7  # of every measure: verdict and record see one number, in which 3 times 0.1 mm is 0.3 mm


class Measures(Frozen):
    """Measures of one defect, to seven digits; a record, its table and CSV hold them in this order.

    Rectangle is the minimum enclosing one. Points are pixel centres, origin top left.
    """

    angle_deg: float = Field(description="of its longer side, counter-clockwise as seen, 0 <= angle < 180")
    length_px: float = Field(description="longer side of the rectangle")
    width_px: float = Field(description="shorter side of the rectangle")
    area_px: int = Field(description="number of defective pixels")
    perimeter_px: float = Field(description="length of the outer outline, through the centres of its pixels")
    centre_x_px: float = Field(description="centre of the rectangle")
    centre_y_px: float = Field(description="centre of the rectangle, downwards")
    contrast: float | None = Field(
        description="mean inside minus mean around, in full scales; negative is darker; null where nothing is around"
    )
    length_mm: float | None = Field(description="longer side; null without a scale, as every measure in millimetres")
    width_mm: float | None = Field(description="shorter side of the rectangle")
    area_mm2: float | None = Field(description="defective area")
    perimeter_mm: float | None = Field(description="length of the outer outline")


def measure(region: Region, gray: Image, defective: Image, mm_per_pixel: float | None = None) -> Measures:
    """Measure one region.

    Args:
        region: from `find_regions`.
        gray: the image (H, W), any dtype that `casae.image` knows.
        defective: mask (H, W) bool of all defects; they are no surrounding.
        mm_per_pixel: side of a pixel in millimetres.
    """
    rectangle, contrast = region.rectangle, _contrast(region, gray, defective)
    lengths = (rectangle.length, rectangle.width, region.perimeter)
    length_mm, width_mm, perimeter_mm = (rounded(v * mm_per_pixel) if mm_per_pixel else None for v in lengths)
    return Measures(
        area_px=region.area,
        length_px=rounded(rectangle.length),
        width_px=rounded(rectangle.width),
        perimeter_px=rounded(region.perimeter),
        angle_deg=rounded(rectangle.angle) % 180,
        centre_x_px=rounded(rectangle.centre[0]),
        centre_y_px=rounded(rectangle.centre[1]),
        contrast=None if contrast is None else rounded(contrast),
        area_mm2=rounded(region.area * mm_per_pixel**2) if mm_per_pixel else None,
        length_mm=length_mm,
        width_mm=width_mm,
        perimeter_mm=perimeter_mm,
    )


def rounded(value: float) -> float:
    """To the `DIGITS` that are recorded, and that verdicts compare."""
    return float(f"{value:.{DIGITS}g}")


def _contrast(region: Region, gray: Image, defective: Image) -> float | None:
    """Mean inside minus mean of the ring around, in full scales; None without a ring."""
    places = _ring(region, defective)
    if not places.size:
        return None
    inside, around = gray[region.at].mean(dtype=np.float64), gray.ravel()[places].mean(dtype=np.float64)
    return float(inside - around) / FULL_SCALE.get(gray.dtype, 1.0)


def _ring(region: Region, defective: Image) -> NDArray[np.intp]:
    """Where in the raveled image the pixels are that lie within `RING_PX` of a region and are no defect.

    A large bounding box is looked at in cells, so that a long slanting defect does not cost all of it.
    """
    left, top = region.offset
    rows, columns = region.rows - top, region.columns - left
    if (int(rows.max()) + 1) * (int(columns.max()) + 1) <= WINDOW_PX:
        return _around(region.rows, region.columns, defective)
    cells = rows // CELL_PX * defective.shape[1] + columns // CELL_PX
    order = np.argsort(cells, kind="stable")
    begins = np.flatnonzero(np.diff(cells[order])) + 1
    rings = [_around(region.rows[each], region.columns[each], defective) for each in np.split(order, begins)]
    return np.unique(np.concatenate(rings))


def _around(rows: NDArray[np.int32], columns: NDArray[np.int32], defective: Image) -> NDArray[np.intp]:
    """The same for pixels that lie close together."""
    top, left = max(0, int(rows.min()) - RING_PX), max(0, int(columns.min()) - RING_PX)
    window = defective[top : int(rows.max()) + RING_PX + 1, left : int(columns.max()) + RING_PX + 1]
    inside = np.zeros(window.shape, np.uint8)
    inside[rows - top, columns - left] = 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RING_PX + 1, 2 * RING_PX + 1))
    near = cv2.dilate(inside, disc) > window
    found_rows, found_columns = np.nonzero(near)
    return (found_rows + top) * defective.shape[1] + found_columns + left


def size(value: float | None) -> str:
    """A length or area for people, three digits and never in powers of ten; "-" where there is none.

    >>> size(8e-05), size(0.1), size(12.34), size(1234.5), size(0)
    ('0.0000800', '0.100', '12.3', '1234', '0')
    """
    if value is None:
        return "-"
    if not value or value >= 100:
        return f"{value:.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"
