"""Pixels as runs, and the polygons that go round them along their sides."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Runs:
    """Pixels as horizontal runs, row by row from left to right: (runs,) each.

    Attributes:
        rows: of each.
        starts: first column; `ends` is the first one behind it.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, rows: NDArray[np.integer[Any]], columns: NDArray[np.integer[Any]]) -> Self:
        """Of pixels row by row from left to right, (N,) each."""
        begins = np.flatnonzero((np.diff(rows, prepend=-1) != 0) | (np.diff(columns, prepend=-1) != 1))
        last = np.append(begins, len(rows))[1:] - 1
        return cls(rows[begins].astype(np.int64), columns[begins].astype(np.int64), columns[last].astype(np.int64) + 1)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Pixels of each."""
        return self.ends - self.starts


def outlines_of(rows: NDArray[np.integer[Any]], columns: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int32], ...]:
    """Polygons (N, 2) round connected pixels, (x, y) of pixel corners, the outer one first; see `Region.outlines`.

    Corner (x, y) is the upper left one of pixel (x, y).

    A run has a left side, which the outline goes up, and a right side, which it goes down: the pixels are always on its
    right. Where a side ends, the outline goes straight on, or along the row to the next side that ends there. Of two
    sides that end at one corner, that way is taken which keeps pixels together that touch in it.

    Args:
        rows: of the pixels, row by row from left to right, (N,).
        columns: likewise.
    """
    runs = Runs.of(rows, columns)
    count = len(runs.rows)
    x = np.concatenate([runs.starts, runs.ends])  # of the sides: all left ones, then all right ones
    y = np.concatenate([runs.rows, runs.rows])
    is_right = np.arange(2 * count) >= count
    # Each side ends twice: in the corner above it and in that below it.
    side = np.concatenate([np.arange(2 * count)] * 2)
    end_y = np.concatenate([y, y + 1])
    is_below = np.arange(4 * count) < 2 * count  # the side hangs down from this end
    end_x = x[side]
    right = is_right[side]
    order = np.lexsort((right, end_x, end_y))  # where two end in one corner, the left side belongs to what is before it
    same = (
        (end_y[order][1:] == end_y[order][:-1])
        & (end_x[order][1:] == end_x[order][:-1])
        & (right[order][1:] == right[order][:-1])
        & (is_below[order][1:] != is_below[order][:-1])
    )
    partner = np.empty(4 * count, np.int64)
    straight = np.zeros(4 * count, np.bool_)
    one, other = order[:-1][same], order[1:][same]
    partner[one], partner[other] = other, one
    straight[one] = straight[other] = True
    turning = order[~straight[order]]
    partner[turning[::2]], partner[turning[1::2]] = turning[1::2], turning[::2]
    # A left side is left at its upper end, a right one at its lower end.
    leaves = np.where(is_right, np.arange(2 * count) + 2 * count, np.arange(2 * count))
    following = side[partner[leaves]]
    return _loops(following, ~straight[leaves], x, end_y[leaves])


def _loops(
    following: NDArray[np.int64], turns: NDArray[np.bool_], x: NDArray[np.int64], y: NDArray[np.int64]
) -> tuple[NDArray[np.int32], ...]:
    """Polygons from sides and the side that follows each; a side ends at (x, y), and the outline may turn there."""
    ways, bends, across, down = following.tolist(), turns.tolist(), x.tolist(), y.tolist()
    seen = [False] * len(ways)
    polygons = []
    for start in range(len(ways)):
        points: list[tuple[int, int]] = []
        at = start
        while not seen[at]:
            seen[at] = True
            after = ways[at]
            if bends[at]:
                points.append((across[at], down[at]))
                points.append((across[after], down[at]))
            at = after
        if points:
            polygons.append(np.array(points, np.int32))
    return tuple(sorted(polygons, key=signed_area, reverse=True))


def signed_area(polygon: NDArray[np.int32]) -> float:
    """Of a polygon (N, 2), positive where it is clockwise as seen."""
    x, y = polygon.astype(np.float64).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)
