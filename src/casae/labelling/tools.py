"""Tools of a labelling page that look at the picture: magic wand and scissors, both by OpenCV."""

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.errors import UsageError

CRUMB, MOST_HOLES = 16, 500  # px of a hole that is filled; holes of a region that a person can want
MOST_WAND_SHARE = 0.5  # of a picture; more is its background
SCISSORS_MARGIN = 64  # px round the two ends, in which the contour is looked for
MOST_SCISSORS_PX = 1200  # between the two ends


def wand(gray: NDArray[np.uint8], x: int, y: int, tolerance: int) -> tuple[int, int, NDArray[np.bool_]]:
    """Pixels that hang together with one and are like it.

    Args:
        gray: the picture (H, W).
        x, y: of the pixel.
        tolerance: how much darker or brighter they may be than it, of 255.

    Returns:
        Left, top and the pixels, bool (h, w).

    Raises:
        UsageError: the place is not in the picture, or most of it is like that.
    """
    height, width = gray.shape
    if not (0 <= x < width and 0 <= y < height):
        raise UsageError(f"place {x}, {y}: is not in the picture of {width} x {height} px")
    mask = np.zeros((height + 2, width + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (1 << 8)
    count, _, _, (left, top, across, down) = cv2.floodFill(gray, mask, (x, y), 0, tolerance, tolerance, flags)
    if count > MOST_WAND_SHARE * gray.size:
        raise UsageError(f"place {x}, {y}: most of the picture is like it; lower the tolerance of {tolerance}")
    found = mask[1 + top : 1 + top + down, 1 + left : 1 + left + across]
    around = np.pad(1 - found, 1, constant_values=1)  # so that what is outside hangs together
    parts, holes, sizes, _ = cv2.connectedComponentsWithStats(around, connectivity=8)
    small = np.flatnonzero(sizes[:, cv2.CC_STAT_AREA] < CRUMB)
    if parts - len(small) > MOST_HOLES:
        raise UsageError(f"place {x}, {y}: is ragged, with {parts} holes; change the tolerance of {tolerance}")
    return left, top, (found > 0) | np.isin(holes[1:-1, 1:-1], small)


def scissors(gray: NDArray[np.uint8], start: tuple[int, int], end: tuple[int, int]) -> NDArray[np.int32]:
    """The way along edges from one pixel to another (Mortensen and Barrett 1995), (N, 2) as (x, y).

    Args:
        gray: the picture (H, W).
        start, end: (x, y).

    Raises:
        UsageError: they are not in the picture, or too far apart.
    """
    height, width = gray.shape
    points = np.array([start, end])
    if (points < 0).any() or (points >= (width, height)).any():
        raise UsageError(f"places {start} and {end}: must be in the picture of {width} x {height} px")
    left, top = np.maximum(points.min(0) - SCISSORS_MARGIN, 0)
    right, bottom = np.minimum(points.max(0) + SCISSORS_MARGIN + 1, (width, height))
    if max(right - left, bottom - top) > MOST_SCISSORS_PX + 2 * SCISSORS_MARGIN:
        raise UsageError(f"places {start} and {end}: are more than {MOST_SCISSORS_PX} px apart; set one between them")
    tool = cv2.segmentation.IntelligentScissorsMB()
    tool.setEdgeFeatureCannyParameters(16, 100)
    tool.applyImage(np.ascontiguousarray(gray[top:bottom, left:right]))
    tool.buildMap((int(start[0] - left), int(start[1] - top)))
    contour = np.asarray(tool.getContour((int(end[0] - left), int(end[1] - top))), np.int32).reshape(-1, 2)
    way: NDArray[np.int32] = np.add(contour, (left, top)).astype(np.int32)
    return way
