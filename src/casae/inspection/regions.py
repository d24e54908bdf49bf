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
    """One connected set of defective pixels.

    Attributes:
        contours: outlines (N, 2) int32 through boundary pixels, (x, y); the outer one first, then holes.
        area: number of pixels.
        rectangle: minimum enclosing rectangle (MER).
        offset: (x, y) of the region's top left pixel in the image.
        mask: the region's pixels within its bounding box, bool.
    """

    contours: tuple[NDArray[np.int32], ...]
    area: int
    rectangle: Rectangle
    offset: tuple[int, int]
    mask: NDArray[np.bool_]

    @cached_property
    def perimeter(self) -> float:
        """Length of the outer outline through the boundary pixels' centres, px."""
        return float(cv2.arcLength(self.contours[0], True))

    @cached_property
    def pixels(self) -> NDArray[np.int32]:
        """All of them, (x, y) in the image, (area, 2)."""
        return np.argwhere(self.mask)[:, ::-1].astype(np.int32) + np.array(self.offset, np.int32)

    @property
    def window(self) -> tuple[slice, slice]:
        """Row and column slices of the bounding box in the image."""
        (x, y), (height, width) = self.offset, self.mask.shape
        return slice(y, y + height), slice(x, x + width)


def find_regions(mask: NDArray[np.bool_], min_area: int = 1) -> list[Region]:
    """Connected regions (8 neighbours) of at least `min_area` pixels, largest first.

    Args:
        mask: (H, W), True = defect.

    >>> region, = find_regions(np.array([[0, 0, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]], dtype=bool))
    >>> region.area, region.rectangle.centre, region.rectangle.length, region.rectangle.width
    (3, (2.0, 1.0), 3.0, 1.0)
    """
    bits = mask.view(np.uint8)
    outlines, hierarchy = cv2.findContours(bits, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    regions = []
    # outlines of an image are found 30 times as fast as all labels; labels are needed only around each of them
    for index in np.flatnonzero(_parents(hierarchy) < 0).tolist():
        x, y, width, height = cv2.boundingRect(outlines[index])
        if width * height < min_area:
            continue
        _, labels = cv2.connectedComponents(bits[y : y + height, x : x + width], connectivity=8)
        column, row = outlines[index][0, 0] - (x, y)
        pixels = labels == labels[row, column]
        area = int(np.count_nonzero(pixels))
        if area >= min_area:
            regions.append(_region(pixels, area, (x, y)))
    return sorted(regions, key=lambda region: (-region.area, region.offset[1], region.offset[0]))


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


def _region(pixels: NDArray[np.bool_], area: int, offset: tuple[int, int]) -> Region:
    found, hierarchy = cv2.findContours(pixels.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=offset)
    contours = _outer_first(found, hierarchy)
    return Region(contours, area, enclosing_rectangle(contours[0]), offset, pixels)


def _outer_first(found: Sequence[NDArray[np.int32]], hierarchy: NDArray[np.int32]) -> tuple[NDArray[np.int32], ...]:
    return tuple(found[index].reshape(-1, 2) for index in np.argsort(_parents(hierarchy) >= 0, kind="stable"))


def _parents(hierarchy: NDArray[np.int32] | None) -> NDArray[np.int32]:
    """Of each outline the one that it is a hole of, -1 for an outer one."""
    return np.zeros(0, np.int32) if hierarchy is None else hierarchy.reshape(-1, 4)[:, 3]
