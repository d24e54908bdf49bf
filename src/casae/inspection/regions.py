"""Defect region detector (paper, section 3.3): mask -> contours -> minimum enclosing rectangle -> upright crop.

Points are (x, y) in pixels, pixel centres, origin top left. A pixel is a square of side 1 around its centre, so one row
of ten pixels is 10 long and 1 wide, and a rectangle encloses its region's pixels entirely.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.image import Image, resize
from casae.outlines import Runs, outlines_of

PIXEL_CORNERS = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], dtype=np.float32)
CROP_MARGIN = 0.12  # of the rectangle's longer side, on every side: what surrounds a defect helps to name it
CROP_MARGIN_PX = 4.0  # at least


@dataclass(frozen=True)
class Rectangle:
    """A rectangle in any direction.

    Attributes:
        centre: (x, y).
        length: longer side, px.
        width: shorter side, px.
        angle: direction of the longer side, degrees counter-clockwise as seen, 0 <= angle < 180; 0 is horizontal.
    """

    centre: tuple[float, float]
    length: float
    width: float
    angle: float

    @property
    def axes(self) -> NDArray[np.float64]:
        """Unit vectors along the length and along the width, rows of a (2, 2) array; y points down."""
        angle = np.deg2rad(self.angle)
        return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    @property
    def corners(self) -> NDArray[np.float64]:
        """The four corners (4, 2), in order around the rectangle."""
        along, across = self.axes * [[self.length / 2], [self.width / 2]]
        return np.array(self.centre) + np.array([-along - across, along - across, along + across, across - along])

    def grown(self, margin: float) -> "Rectangle":
        """The same rectangle with every side moved outwards by `margin` px."""
        return replace(self, length=self.length + 2 * margin, width=self.width + 2 * margin)


@dataclass(frozen=True, eq=False)
class Region:
    """One connected set of defective pixels, or several joined; memory goes by its area, not by its bounding box.

    Attributes:
        rows: of its pixels, row by row from left to right, (area,) int32; `columns` likewise.
        boundaries: of each connected piece the outer boundary pixels, (N, 2) int32, (x, y), without those between two
            others in a line.
        rectangle: minimum enclosing rectangle (MER).
    """

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    boundaries: tuple[NDArray[np.int32], ...]
    rectangle: Rectangle

    @classmethod
    def joined(cls, regions: Sequence["Region"]) -> "Region":
        """One of several that share no pixel."""
        if len(regions) == 1:
            return regions[0]
        rows = np.concatenate([region.rows for region in regions])
        columns = np.concatenate([region.columns for region in regions])
        order = np.lexsort((columns, rows))
        boundaries = tuple(boundary for region in regions for boundary in region.boundaries)
        return cls(rows[order], columns[order], boundaries, enclosing_rectangle(np.concatenate(boundaries)))

    @property
    def area(self) -> int:
        """Number of pixels."""
        return len(self.rows)

    @property
    def at(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Index of its pixels in an image (H, W): `mask[region.at] = True`."""
        return self.rows, self.columns

    @property
    def pixels(self) -> NDArray[np.int32]:
        """All of them, (x, y) in the image, (area, 2)."""
        return np.stack([self.columns, self.rows], axis=1)

    @property
    def boundary(self) -> NDArray[np.int32]:
        """The outer boundary pixels of all pieces, (N, 2) int32, (x, y)."""
        return np.concatenate(self.boundaries)

    @cached_property
    def perimeter(self) -> float:
        """Length of the outer boundaries through their pixels' centres, px."""
        return sum(float(cv2.arcLength(boundary, True)) for boundary in self.boundaries)

    @property
    def holes(self) -> int:
        """Number of holes."""
        return len(self.outlines) - len(self.boundaries)

    @cached_property
    def outlines(self) -> tuple[NDArray[np.float64], ...]:
        """Polygons (N, 2) round its pixels, (x, y), pixel centres at whole numbers; outer ones first, then holes.

        Outer ones are clockwise as seen, holes are the other way round: the sum of their signed areas is the region's
        area, and what they enclose are its pixels.
        """
        return tuple(polygon.astype(np.float64) - 0.5 for polygon in outlines_of(self.rows, self.columns))

    @property
    def offset(self) -> tuple[int, int]:
        """(x, y) of the top left pixel of its bounding box."""
        return int(self.columns.min()), int(self.rows[0])

    def box(self) -> NDArray[np.bool_]:
        """Its pixels within its bounding box, made anew: (h, w)."""
        x, y = self.offset
        inside = np.zeros((int(self.rows[-1]) - y + 1, int(self.columns.max()) - x + 1), np.bool_)
        inside[self.rows - y, self.columns - x] = True
        return inside


def find_regions(mask: NDArray[np.bool_], min_area: int = 1) -> list[Region]:
    """Connected regions (8 neighbours) of at least `min_area` pixels, largest first.

    The time goes by the number of defective pixels, not by bounding boxes.

    Args:
        mask: (H, W), True = defect.

    >>> region, = find_regions(np.array([[0, 0, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]], dtype=bool))
    >>> region.area, region.rectangle.centre, region.rectangle.length, region.rectangle.width
    (3, (2.0, 1.0), 3.0, 1.0)
    """
    components = Components(mask)
    return components.regions(components.areas >= min_area)


class Components:
    """Connected pixels (8 neighbours) of a mask (H, W), True = defect, before anything is made of them.

    Each goes by the number of its first run.

    Attributes:
        areas: number of pixels of each, 0 where a run is not the first one, (runs,).
    """

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self._mask = mask
        self._places = np.flatnonzero(mask)
        self._runs = Runs.of(self._places // mask.shape[1], self._places % mask.shape[1])
        self._of_run = _connected(self._runs) if len(self._places) else np.zeros(0, np.int64)
        self.areas = np.bincount(self._of_run, self._runs.lengths, len(self._of_run)).astype(np.int64)

    def holding(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Those with a pixel in another mask (H, W): (runs,)."""
        of_pixel = np.repeat(self._of_run, self._runs.lengths)
        found = np.zeros(len(self.areas), np.bool_)
        found[of_pixel[chosen.ravel()[self._places]]] = True
        return found

    def regions(self, wanted: NDArray[np.bool_]) -> list[Region]:
        """Those that are wanted, (runs,), largest first."""
        runs, of_run = self._runs, self._of_run
        kept = np.flatnonzero(wanted[of_run])
        if not len(kept):
            return []
        order = kept[np.argsort(of_run[kept], kind="stable")]
        boundaries = _boundaries(self._mask, runs, of_run, self._places)
        lengths = runs.lengths[order]
        begins = np.cumsum(lengths) - lengths
        rows = np.repeat(runs.rows[order].astype(np.int32), lengths)
        shifts = np.repeat((begins - runs.starts[order]).astype(np.int32), lengths)
        columns = np.arange(len(rows), dtype=np.int32) - shifts
        names, firsts = np.unique(of_run[order], return_index=True)
        ends = np.append(begins[firsts[1:]], len(rows))
        regions = []
        for name, begin, end in zip(names.tolist(), begins[firsts].tolist(), ends.tolist(), strict=True):
            boundary = boundaries[name]
            regions.append(Region(rows[begin:end], columns[begin:end], (boundary,), enclosing_rectangle(boundary)))
        return sorted(regions, key=lambda region: (-region.area, region.offset[1], region.offset[0]))


def _connected(runs: Runs) -> NDArray[np.int64]:
    """For each run the first one of its region: runs touch where they share a side or a corner with the row above."""
    pitch = int(runs.ends.max()) + 2  # so that the end of a row touches no beginning
    above = (runs.rows - 1) * pitch
    starts = runs.rows * pitch + runs.starts
    ends = runs.rows * pitch + runs.ends
    first = np.searchsorted(ends, above + runs.starts, "left")
    behind = np.searchsorted(starts, above + runs.ends, "right")
    count = np.maximum(behind - first, 0)
    lower = np.repeat(np.arange(len(count)), count)
    upper = np.arange(len(lower)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    parent = np.arange(len(count))
    while True:  # hook the larger of two roots below the smaller one, then let everything point at its root
        one, other = parent[lower], parent[upper]
        apart = one != other
        if not apart.any():
            return parent
        np.minimum.at(parent, np.maximum(one, other)[apart], np.minimum(one, other)[apart])
        while not np.array_equal(parent, parent[parent]):
            parent = parent[parent]


def _boundaries(
    mask: NDArray[np.bool_], runs: Runs, of_run: NDArray[np.int64], places: NDArray[np.int64]
) -> dict[int, NDArray[np.int32]]:
    """The outer boundary pixels of each region, by the first of its runs."""
    found, hierarchy = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outer = [found[index].reshape(-1, 2) for index in np.flatnonzero(hierarchy[0, :, 3] < 0).tolist()]
    firsts = np.array([boundary[0] for boundary in outer], np.int64)
    place = np.searchsorted(places, firsts[:, 1] * mask.shape[1] + firsts[:, 0])
    run = np.searchsorted(np.cumsum(runs.lengths), place, "right")
    return dict(zip(of_run[run].tolist(), outer, strict=True))


def upright_crop(image: Image, rectangle: Rectangle, size: tuple[int, int] | None = None) -> Image:
    """Cut a rectangle out of an image and turn its longer side horizontal.

    What lies outside the image repeats its border.

    Args:
        image: (H, W) or (H, W, 3).
        rectangle: where; see `crop_rectangle` for the classifier's margin.
        size: (height, width) of the result; by default one pixel stays one pixel.

    Returns:
        (height, width) or (height, width, 3), dtype of the image.
    """
    rows, columns = max(1, round(rectangle.width)), max(1, round(rectangle.length))
    if size and (rows > 2 * size[0] or columns > 2 * size[1]):  # shrink by area, or thin lines would alias away
        natural = upright_crop(image, rectangle)
        return resize(natural, *size)
    rows, columns = size or (rows, columns)
    steps = rectangle.axes * [[rectangle.length / columns], [rectangle.width / rows]]
    start = np.array(rectangle.centre) - steps.T @ [(columns - 1) / 2, (rows - 1) / 2]
    matrix = np.column_stack([steps.T, start])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, (columns, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def crop_rectangle(rectangle: Rectangle) -> Rectangle:
    """The MER with the margin that the classifier sees around it."""
    return rectangle.grown(max(CROP_MARGIN_PX, CROP_MARGIN * rectangle.length))


def enclosing_rectangle(points: NDArray[np.int32]) -> Rectangle:
    """Minimum-area rectangle around whole pixels whose centres are `points` (N, 2)."""
    hull = cv2.convexHull(points).reshape(-1, 1, 2).astype(np.float32)
    centre, (first, second), angle = cv2.minAreaRect((hull + PIXEL_CORNERS).reshape(-1, 2))
    length, width = (first, second) if first >= second else (second, first)
    turned = -angle if first >= second else -angle - 90  # OpenCV turns clockwise as seen, from the first side
    direction = round(turned % 180, 4) % 180
    return Rectangle((float(centre[0]), float(centre[1])), round(length, 4), round(width, 4), direction)
