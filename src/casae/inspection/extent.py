"""How far pixels reach in a direction, as the thing they show does: to a fraction of a pixel and without bias.

The outermost pixels of a slanting edge lie right at it, those of an upright edge half a pixel inside on average. What
encloses the squares of all pixels is therefore up to 1.4 px too long. Here an end is where it would be if the pixels
near it, seen from the side, filled a shape as wide as they are there.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

NEAR, FARTHER = 1.0, 2.0  # px inside the outermost pixel's centre, where the width of an end is looked at
DEEPEST = 3.0  # px from it that count
MOST = 0.6  # px from the outermost centre to the end; a pixel's half, and what the tip of a curve hides
ROUND = 1.5  # depth of an end that is a parabola, in units of its area by its width; 1 where it is flat
THIN = 4.0  # px; of less, both ends would be looked at at once


def extent(x: NDArray[np.int32], y: NDArray[np.int32], direction: tuple[float, float]) -> float:
    """Of pixels with centres (x, y), (N,) each, along a unit vector, px."""
    along = (x * direction[0] + y * direction[1]).astype(np.float64)
    lowest, highest = float(along.min()), float(along.max())
    span = highest - lowest
    half = (abs(direction[0]) + abs(direction[1])) / 2
    return span + _beyond(highest - along, span, half) + _beyond(along - lowest, span, half)


def feret_diameters(x: NDArray[np.int32], y: NDArray[np.int32], boundary: NDArray[np.int32]) -> tuple[float, float]:
    """Largest and smallest distance of two parallel lines that hold pixels between them (ISO 9276-6), px.

    Args:
        x: of the pixels, (N,); `y` likewise.
        boundary: some of them, (B, 2), (x, y), the outermost among them.
    """
    corners = cv2.convexHull(boundary).reshape(-1, 2).astype(np.float64)
    if len(corners) == 1:
        return 1.0, 1.0
    apart = corners[:, None] - corners[None]
    longest = np.unravel_index(int((apart**2).sum(2).argmax()), apart.shape[:2])
    sides = np.roll(corners, -1, axis=0) - corners
    normals = np.stack([-sides[:, 1], sides[:, 0]], axis=1) / np.linalg.norm(sides, axis=1)[:, None]
    narrowest = normals[int(np.ptp(corners @ normals.T, axis=0).argmin())]
    largest = extent(x, y, _unit(apart[longest]))
    smallest = extent(x, y, (float(narrowest[0]), float(narrowest[1])))
    return max(largest, smallest), min(largest, smallest)


def _unit(vector: NDArray[np.float64]) -> tuple[float, float]:
    length = float(np.hypot(*vector))
    return float(vector[0]) / length, float(vector[1]) / length


def _beyond(depths: NDArray[np.float64], span: float, half: float) -> float:
    """From the outermost centre to the end, px; `depths` are those of all centres below it.

    Seen from the side a pixel counts as a bar of twice `half`.
    """
    depths = depths[depths < DEEPEST]

    def ratio(depth: float) -> float:
        """Area above a depth, by the width there: how deep it is under a flat end."""
        area = float(np.clip((depth - depths) / (2 * half) + 0.5, 0, 1).sum())
        below = depths - depth
        width = int(((below > -half) & (below <= half)).sum()) / (2 * half)
        return area / max(width, 1e-9)

    near = min(NEAR, max(span / 2, NEAR / 4))
    depth = ratio(near)
    if span >= THIN:
        growth = (ratio(FARTHER) - depth) / (FARTHER - NEAR)
        depth *= min(max(1 / max(growth, 1e-9), 1.0), ROUND)
    return min(max(depth - near, 0.0), MOST)
