"""How far defects lie from each other, and how close together: from their outlines and centres."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

PAIRS_AT_ONCE = 2**21  # of sides that are compared in one step; bounds memory

Boxes = NDArray[np.float64]
"""(N, 4): left, top, right, bottom."""


class Outline:
    """The sides of outlines round pixels, each a box without a width or a height.

    Args:
        polygons: (N, 2) x, y each; every side is upright or level, as those of `Region.outlines`.
    """

    def __init__(self, polygons: Sequence[ArrayLike]) -> None:
        sides = []
        for polygon in polygons:
            corners = np.asarray(polygon, np.float64)
            following = np.roll(corners, -1, axis=0)
            sides.append(np.concatenate([np.minimum(corners, following), np.maximum(corners, following)], axis=1))
        self.sides: Boxes = np.concatenate(sides)
        self.box: Boxes = np.concatenate([self.sides[:, :2].min(0), self.sides[:, 2:].max(0)])[None]

    def distance(self, other: "Outline") -> float:
        """From one to the other where they are closest; 0 where they touch, px."""
        step = max(1, PAIRS_AT_ONCE // len(other.sides))
        parts = (self.sides[start : start + step] for start in range(0, len(self.sides), step))
        return min(float(_gaps(part, other.sides).min()) for part in parts)


def together(outlines: Sequence[Outline], most: float) -> list[int]:
    """Which belong together: the first of those that each reaches by steps of at most `most` px, itself where alone."""
    first = list(range(len(outlines)))

    def of(one: int) -> int:
        while first[one] != one:
            first[one] = one = first[first[one]]
        return one

    if len(outlines) < 2:
        return first
    boxes = np.concatenate([outline.box for outline in outlines])
    order = np.argsort(boxes[:, 0], kind="stable")  # from the left, so that only the next ones can be near
    ends = np.searchsorted(boxes[order, 0], boxes[order, 2] + most, "right")
    for place, (one, end) in enumerate(zip(order.tolist(), ends.tolist(), strict=True)):
        others = order[place + 1 : end]
        for other in others[_gaps(boxes[one : one + 1], boxes[others])[0] <= most].tolist():
            low, high = sorted((of(one), of(other)))
            if low != high and outlines[one].distance(outlines[other]) <= most:
                first[high] = low
    return [of(one) for one in first]


def nearest(outlines: Sequence[Outline]) -> float:
    """Of those two that lie closest to each other, how far they do, px; infinite for a single one."""
    if len(outlines) < 2:
        return math.inf
    boxes = np.concatenate([outline.box for outline in outlines])
    closest = math.inf
    for one in range(len(outlines) - 1):
        gaps = _gaps(boxes[one : one + 1], boxes[one + 1 :])[0]
        for other in np.argsort(gaps, kind="stable"):
            if gaps[other] >= closest:
                break
            closest = min(closest, outlines[one].distance(outlines[one + 1 + int(other)]))
    return closest


def densest(centres: ArrayLike, side: float) -> int:
    """The most points (N, 2) that any upright square of this side holds, its border included."""
    points = np.asarray(centres, np.float64).reshape(-1, 2)
    most = 0
    for left in points[:, 0]:
        downwards = np.sort(points[(points[:, 0] >= left) & (points[:, 0] <= left + side), 1])
        held = np.searchsorted(downwards, downwards + side, "right") - np.arange(len(downwards))
        most = max(most, int(held.max()))
    return most


def _gaps(one: Boxes, other: Boxes) -> NDArray[np.float64]:
    """Between boxes, (N, M)."""
    across = np.maximum(one[:, None, :2] - other[None, :, 2:], other[None, :, :2] - one[:, None, 2:])
    return np.hypot(*np.moveaxis(np.maximum(across, 0), 2, 0))
