"""How far pixels reach in a direction, as the thing they show does: to a fraction of a pixel and without bias.

The outermost pixels of a slanting edge lie right at it, those of an upright edge half a pixel inside on average. What
encloses the squares of all pixels is therefore up to 1.4 px too long. Here an end is where it would be if the pixels
near it, seen from the side, filled a shape as wide as they are there.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

NEAR, FARTHER = 1.0, 2.0  # px inside the outermost pixel's centre, where the width of an end is looked at
DEEPEST = 3.0  # px from it that count
MOST = 0.6  # px from the outermost centre to the end; a pixel's half, and what the tip of a curve hides
ROUND = 1.5  # depth of an end that is a parabola, in units of its area by its width; 1 where it is flat
THIN = 4.0  # px; of less, both ends would be looked at at once
AT_ONCE = 2**20  # pixels that are looked at in one step; bounds memory
FEW = 500  # pixels of which all are looked at; of more, those near an end

Directions = NDArray[np.float64]
"""Unit vectors (N, 2), (x, y)."""


def extents(x: NDArray[np.int32], y: NDArray[np.int32], directions: Directions) -> NDArray[np.float64]:
    """Of pixels with centres (x, y), (N,) each, along each direction, px."""
    parts = [(x[start : start + AT_ONCE], y[start : start + AT_ONCE]) for start in range(0, len(x), AT_ONCE)]
    bounds = [(each.min(1, keepdims=True), each.max(1, keepdims=True)) for each in _along(parts, directions)]
    lowest, highest = np.minimum.reduce([low for low, _ in bounds]), np.maximum.reduce([high for _, high in bounds])
    ends_of = [
        each[:, ((highest - each < DEEPEST) | (each - lowest < DEEPEST)).any(0)] if len(x) > FEW else each
        for each in _along(parts, directions)
    ]
    along = np.concatenate(ends_of, axis=1)
    span, half = highest - lowest, np.abs(directions).sum(1, keepdims=True) / 2
    ends = [_beyond(depths, span, half) for depths in (highest - along, along - lowest)]
    return (span + ends[0] + ends[1])[:, 0]


def _along(
    parts: Sequence[tuple[NDArray[np.int32], NDArray[np.int32]]], directions: Directions
) -> Iterator[NDArray[np.float64]]:
    """How far pixels lie along each direction, (directions, N), part by part."""
    return (directions @ np.stack(part).astype(np.float64) for part in parts)


def feret_directions(boundary: NDArray[np.int32]) -> Directions:
    """Of the largest and the smallest distance of two parallel lines around pixels (ISO 9276-6), (2, 2).

    Args:
        boundary: the outermost pixels, (N, 2), (x, y).
    """
    corners = cv2.convexHull(boundary).reshape(-1, 2).astype(np.float64)
    if len(corners) == 1:
        return np.eye(2)
    apart = corners[:, None] - corners[None]
    longest = np.unravel_index(int((apart**2).sum(2).argmax()), apart.shape[:2])
    sides = np.roll(corners, -1, axis=0) - corners
    normals = np.stack([-sides[:, 1], sides[:, 0]], axis=1)
    normals /= np.hypot(normals[:, 0], normals[:, 1])[:, None]
    across = corners @ normals.T
    narrowest = normals[int((across.max(0) - across.min(0)).argmin())]
    return np.stack([apart[longest] / np.hypot(*apart[longest]), narrowest])


def _beyond(depths: NDArray[np.float64], span: NDArray[np.float64], half: NDArray[np.float64]) -> NDArray[np.float64]:
    """From the outermost centre to the end of each direction, px.

    Args:
        depths: of all centres below the outermost one, (directions, N); the others are (directions, 1).
        span: of the centres; `half` of what a pixel is wide as seen from the side, where it counts as a bar.
        half: see `span`.
    """

    def ratio(depth: NDArray[np.float64]) -> NDArray[np.float64]:
        """Area above a depth, by the width there: how deep it is under a flat end."""
        below = depths - depth
        area = np.clip(0.5 - below / (2 * half), 0, 1).sum(1, keepdims=True)
        width = ((below > -half) & (below <= half)).sum(1, keepdims=True) / (2 * half)
        return area / np.maximum(width, 1e-9)

    near = np.minimum(NEAR, np.maximum(span / 2, NEAR / 4))
    depth = ratio(near)
    growth = np.maximum((ratio(np.full_like(span, FARTHER)) - depth) / (FARTHER - NEAR), 1e-9)
    depth *= np.where(span >= THIN, np.clip(1 / growth, 1, ROUND), 1)
    return np.clip(depth - near, 0, MOST)
