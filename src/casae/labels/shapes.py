"""One labelled region of a picture, whatever tool outlined it: its pixels in a box, kept as runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from casae.labels.runs import flags_of, runs_of

FINER = 5  # parts of a pixel that a polygon's corners are rounded to, as pycocotools does


@dataclass(frozen=True, eq=False)
class Shape:
    """A labelled region: any pixels, with holes and in parts.

    Attributes:
        defect_class: its name; empty where nobody named it.
        left, top, width, height: box around its pixels, px.
        runs: of the pixels in the box, row by row, background first.
        extra: what else the tool's file says of it, by the tool's own keys.
    """

    defect_class: str
    left: int
    top: int
    width: int
    height: int
    runs: NDArray[np.int64]
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, defect_class: str, pixels: NDArray[np.bool_], left: int = 0, top: int = 0, extra: Mapping[str, Any] = {}
    ) -> Self | None:
        """The shape of a mask (h, w) whose first pixel is (left, top), cut to its pixels; None where it has none."""
        rows = np.flatnonzero(pixels.any(1))
        if not rows.size:
            return None
        columns = np.flatnonzero(pixels.any(0))
        tight = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        height, width = tight.shape
        corner = left + int(columns[0]), top + int(rows[0])
        return cls(defect_class, *corner, width, height, runs_of(tight.ravel()), extra)

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """(height, width) bool of the box."""
        return flags_of(self.runs, self.height * self.width).reshape(self.height, self.width)

    @property
    def area(self) -> int:
        """Pixels."""
        return int(self.runs[1::2].sum())

    def draw(self, label: NDArray[np.uint8], value: int) -> None:
        """Put a value into the pixels of a label (H, W) that the shape covers; what lies outside is cut off."""
        top, left = max(0, self.top), max(0, self.left)
        bottom, right = min(label.shape[0], self.top + self.height), min(label.shape[1], self.left + self.width)
        if top < bottom and left < right:
            inside = self.pixels[top - self.top : bottom - self.top, left - self.left : right - self.left]
            label[top:bottom, left:right][inside] = value

    def without(self, mask: NDArray[np.bool_]) -> Self | None:
        """The same without the pixels of a mask (H, W) of the picture; None where none are left."""
        left = self.mask(*mask.shape) & ~mask
        return self.of(self.defect_class, left, extra=self.extra)

    def mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """(height, width) bool of a picture of this size."""
        drawn = np.zeros((height, width), np.uint8)
        self.draw(drawn, 1)
        return drawn > 0


def polygon(corners: ArrayLike, height: int, width: int) -> tuple[NDArray[np.bool_], int, int]:
    """The pixels that a polygon encloses, as pycocotools draws them: (h, w) bool of a box, its left and its top.

    Args:
        corners: (N, 2) x, y; 0, 0 is the outer corner of the first pixel.
        height, width: of the picture; what lies outside is cut off.

    A polygon so thin that it encloses no pixel covers those that its outline crosses: a label is never lost.

    Raises:
        ValueError: these are no corners.
    """
    points = _checked(corners, 3)
    low = np.clip(np.floor(points.min(0)).astype(int) - 1, 0, None)
    high = np.minimum(np.ceil(points.max(0)).astype(int) + 2, (width, height))
    if (high <= low).any():
        return np.zeros((0, 0), np.bool_), 0, 0
    left, top = (int(value) for value in low)
    box = _filled(points - low, int(high[1] - top), int(high[0] - left))
    if not box.any():
        return line(np.concatenate([points, points[:1]]), height, width)
    return box, left, top


def line(corners: ArrayLike, height: int, width: int, thickness: int = 1) -> tuple[NDArray[np.bool_], int, int]:
    """The pixels that a line of straight pieces crosses: (h, w) bool of a box, its left and its top; see `polygon`."""
    points = _checked(corners, 1)
    places = np.floor(np.clip(points, -thickness, (width + thickness, height + thickness))).astype(np.int32)
    low = np.clip(places.min(0) - thickness, 0, None)
    high = np.minimum(places.max(0) + thickness + 1, (width, height))
    if (high <= low).any():
        return np.zeros((0, 0), np.bool_), 0, 0
    left, top = (int(value) for value in low)
    box = np.zeros((int(high[1]) - top, int(high[0]) - left), np.uint8)
    cv2.polylines(box, [places - low.astype(np.int32)], False, 1, thickness)
    return box > 0, left, top


def ellipse(
    centre: Sequence[float], radii: Sequence[float], height: int, width: int, turned: float = 0.0
) -> tuple[NDArray[np.bool_], int, int]:
    """The pixels whose centres lie in an ellipse, turned clockwise by degrees: as `polygon`."""
    (x, y), (across, along) = _checked([centre], 1)[0], radii
    if not (0 < across < 1e7 and 0 < along < 1e7):
        raise ValueError(f"radii {across:g} and {along:g} make no ellipse")
    reach = max(across, along) + 1
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    right, bottom = min(width, int(x + reach) + 1), min(height, int(y + reach) + 1)
    if left >= right or top >= bottom:
        return np.zeros((0, 0), np.bool_), 0, 0
    dx = np.arange(left, right) + 0.5 - x
    dy = (np.arange(top, bottom) + 0.5 - y)[:, None]
    cosine, sine = np.cos(np.deg2rad(turned)), np.sin(np.deg2rad(turned))
    u, v = dx * cosine + dy * sine, dy * cosine - dx * sine
    return (u / across) ** 2 + (v / along) ** 2 <= 1, left, top


def _checked(corners: ArrayLike, least: int) -> NDArray[np.float64]:
    points = np.asarray(corners, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < least:
        raise ValueError(f"at least {least} corners of two numbers each are due")
    if not np.isfinite(points).all() or (np.abs(points) > 1e7).any():
        raise ValueError("a corner is no place in a picture")
    return points


def _filled(points: NDArray[np.float64], height: int, width: int) -> NDArray[np.bool_]:
    """Pixels inside, column by column: each crossing of a column's middle turns inside into outside.

    Corners are rounded to a fifth of a pixel and edges are walked in such steps, so that the result is pycocotools' own
    (`rleFrPoly`), pixel by pixel.
    """
    fine = (FINER * points + 0.5).astype(np.int64)
    walked = [_walk(start, end) for start, end in zip(fine, np.roll(fine, -1, axis=0), strict=True)]
    across, along = np.concatenate(walked, axis=1)
    moved = np.flatnonzero(across[1:] != across[:-1])
    column = (np.minimum(across[moved], across[moved + 1]) + 0.5) / FINER - 0.5
    row = (np.minimum(along[moved], along[moved + 1]) + 0.5) / FINER - 0.5
    kept = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    places = column[kept].astype(np.int64) * height + np.ceil(np.clip(row[kept], 0, height)).astype(np.int64)
    crossed = np.bincount(places, minlength=height * width + 1)[: height * width]
    return (np.cumsum(crossed) % 2 == 1).reshape(width, height).T


def _walk(start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """Fine pixels from one corner to the next, (2, n), rounded alike whichever corner comes first."""
    (x0, y0), (x1, y1) = start, end
    steps = max(abs(x1 - x0), abs(y1 - y0))
    flat = abs(x1 - x0) >= abs(y1 - y0)
    flip = (flat and x0 > x1) or (not flat and y0 > y1)
    if flip:
        (x0, y0), (x1, y1) = (x1, y1), (x0, y0)
    at = np.arange(steps + 1)
    if flip:
        at = at[::-1]
    if flat:
        slope = (y1 - y0) / steps if steps else 0.0
        return np.stack([at + x0, (y0 + slope * at + 0.5).astype(np.int64)])
    slope = (x1 - x0) / steps
    return np.stack([(x0 + slope * at + 0.5).astype(np.int64), at + y0])
