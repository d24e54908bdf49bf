"""How large a defect is: pixels, and millimetres where the scale is known."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from casae.config import Frozen
from casae.image import FULL_SCALE, Image
from casae.inspection.extent import extents, feret_directions
from casae.inspection.regions import Region
from casae.inspection.skeleton import CentreLine

RING_PX = 6  # width of the surrounding that contrast is measured against
WINDOW_PX = 2**18  # bounding boxes that are looked at at once; larger ones in cells
CELL_PX = 256
DIGITS = 7  # of every measure: verdict and record see one number, in which 3 times 0.1 mm is 0.3 mm


class Measures(Frozen):
    """Measures of one defect, to seven digits; a record, its table and CSV hold them in this order.

    Rectangle is the minimum enclosing one. Points are pixel centres, origin top left. Lengths are without bias to a
    fraction of a pixel, see `casae.inspection.extent`; the rectangle itself encloses all pixels and is up to 1.4 px
    longer.
    """

    angle_deg: float = Field(description="of the rectangle's longer side, counter-clockwise as seen, 0 <= angle < 180")
    length_px: float = Field(description="how far it reaches along the longer side of its rectangle")
    width_px: float = Field(description="how far it reaches along the shorter side")
    area_px: int = Field(description="number of defective pixels")
    perimeter_px: float = Field(description="length of the outer outline, through the centres of its pixels")
    feret_max_px: float = Field(description="largest Feret diameter: between parallel lines that hold it between them")
    feret_min_px: float = Field(description="smallest Feret diameter")
    skeleton_length_px: float = Field(
        description="longest way along its centre line, from end to end, and all round a loop; its length where it has "
        "none, as a round spot"
    )
    mean_width_px: float = Field(description="area by skeleton length")
    straightness: float = Field(description="from end to end as the crow flies, by skeleton length; 1 is straight")
    holes: int = Field(description="number of holes in it")
    at_edge: bool = Field(description="whether it touches the picture's edge, and may go on behind it")
    centre_x_px: float = Field(description="centre of the rectangle")
    centre_y_px: float = Field(description="centre of the rectangle, downwards")
    contrast: float | None = Field(
        description="mean inside minus mean around, in full scales; negative is darker; null where nothing is around"
    )
    length_mm: float | None = Field(description="null without a scale, as every measure in millimetres")
    width_mm: float | None = Field(description="of `width_px`")
    area_mm2: float | None = Field(description="defective area")
    perimeter_mm: float | None = Field(description="of `perimeter_px`")
    feret_max_mm: float | None = Field(description="of `feret_max_px`")
    feret_min_mm: float | None = Field(description="of `feret_min_px`")
    skeleton_length_mm: float | None = Field(description="of `skeleton_length_px`")
    mean_width_mm: float | None = Field(description="of `mean_width_px`")


def measure(region: Region, gray: Image, defective: Image, mm_per_pixel: float | None = None) -> Measures:
    """Measure one region.

    Args:
        region: from `find_regions`.
        gray: the image (H, W), any dtype that `casae.image` knows.
        defective: mask (H, W) bool of all defects; they are no surrounding.
        mm_per_pixel: side of a pixel in millimetres.
    """
    rectangle, contrast = region.rectangle, _contrast(region, gray, defective)
    lengths, chord = _lengths(region)
    in_mm = {name: rounded(value * mm_per_pixel) if mm_per_pixel else None for name, value in lengths.items()}
    return Measures.model_validate(
        {
            "area_px": region.area,
            "angle_deg": rounded(rectangle.angle) % 180,
            "straightness": rounded(chord / lengths["skeleton_length"]),
            "holes": region.holes,
            "at_edge": _is_at_edge(region, gray.shape),
            "centre_x_px": rounded(rectangle.centre[0]),
            "centre_y_px": rounded(rectangle.centre[1]),
            "contrast": None if contrast is None else rounded(contrast),
            "area_mm2": rounded(region.area * mm_per_pixel**2) if mm_per_pixel else None,
        }
        | {f"{name}_px": rounded(value) for name, value in lengths.items()}
        | {f"{name}_mm": value for name, value in in_mm.items()}
    )


def _lengths(region: Region) -> tuple[dict[str, float], float]:
    """In px, by the name of the measure, and from one end to the other as the crow flies."""
    directions = np.concatenate([region.rectangle.axes, feret_directions(region.boundary)])
    along, across, largest, smallest = extents(region.columns, region.rows, directions).tolist()
    line = CentreLine.of(region)
    skeleton_length = line.length if line else max(along, across)
    found = {
        "length": max(along, across),
        "width": min(along, across),
        "perimeter": region.perimeter,
        "feret_max": max(largest, smallest, along, across),  # of the outline's directions and of the rectangle's
        "feret_min": min(largest, smallest, along, across),
        "skeleton_length": skeleton_length,
        "mean_width": region.area / skeleton_length,
    }
    return found, line.chord if line else skeleton_length


def _is_at_edge(region: Region, shape: tuple[int, ...]) -> bool:
    rows, columns = region.rows, region.columns
    last_row, last_column = shape[0] - 1, shape[1] - 1
    return bool(rows[0] == 0 or rows[-1] == last_row or columns.min() == 0 or columns.max() == last_column)


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
