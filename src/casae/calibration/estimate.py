"""Calibrations from pictures of a grid of known step, of a coin of known diameter, or from two points on a ruler."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.calibration.calibration import Calibration, Lens, Method
from casae.errors import ImageError, UsageError
from casae.image import Image, to_8bit, to_gray

GridKind = Literal["chessboard", "circles", "asymmetric circles"]
SPAN = 3  # steps of a grid that a length is checked over, at least
FAR = 8.0  # sides of the picture: the distance that a single view is taken from, where it does not tell
CLEARLY = 0.8  # of the residual of a fixed distance: what a fitted one must get under to be believed
SHARE = 95  # percentile of the errors that is stated
ROUND = 0.9  # area of a coin's outline, by that of its enclosing circle
SOLID = 0.98  # of its hull, a disc without a glare
LEAST_COIN = 40  # px across

Points = NDArray[np.float64]


class Grid(NamedTuple):
    """A calibration target.

    Attributes:
        kind: of marks; of a chessboard the corners inside between four squares count.
        columns: marks a row; of asymmetric circles as OpenCV counts them.
        rows: of marks.
        step_mm: from one to the next; of asymmetric circles half of the distance in a row.
    """

    kind: GridKind
    columns: int
    rows: int
    step_mm: float

    @property
    def marks(self) -> Points:
        """Their places, (N, 2) mm, row by row."""
        row, column = np.divmod(np.arange(self.rows * self.columns), self.columns)
        across = 2 * column + row % 2 if self.kind == "asymmetric circles" else column
        return np.stack([across, row], axis=1).astype(np.float64) * self.step_mm


def from_grid(pictures: Sequence[tuple[str, Image]], grid: Grid, name: str) -> Calibration:
    """A calibration from pictures of a grid; the first one shows it where the parts will lie.

    Args:
        pictures: name and image each, all of one size. One picture tells the scale and how straight lines bend; several
            from different directions tell the lens better.
        grid: what they show.
        name: of the calibration.

    Raises:
        ImageError: the grid is not found in a picture, or they differ in size.
    """
    sizes = {image.shape[1::-1] for _, image in pictures}
    if len(sizes) > 1:
        raise ImageError(f"{pictures[0][0]}: the pictures of the grid differ in size; take all with one camera")
    size = sizes.pop()
    views = [_marks_in(image, grid, source) for source, image in pictures]
    lens = _lens(views, grid.marks, size)
    straight = cv2.undistortPoints(views[0][:, None], lens.matrix, lens.distortion, P=lens.matrix)[:, 0]
    scale = _scale(straight, grid.marks, size)
    return Calibration(
        name=name,
        method=grid.kind,
        mm_per_pixel=float(f"{scale:.7g}"),
        error_percent=_error(views[0], grid, scale),
        straight_error_percent=_error(straight, grid, scale),
        width_px=size[0],
        height_px=size[1],
        tilt_degrees=_tilt(straight, grid.marks, size),
        lens=lens,
    )


def from_ruler(start: Sequence[float], end: Sequence[float], length_mm: float, name: str) -> Calibration:
    """A calibration from two points (x, y), px, whose distance is known.

    Raises:
        UsageError: they are one point.
    """
    pixels = math.dist(start, end)
    if pixels < 1:
        raise UsageError(f"{tuple(start)} to {tuple(end)}: are one point; take two that are far apart")
    error = 100 * math.sqrt(2) * 0.5 / pixels
    return _simple(name, "ruler", length_mm / pixels, error)


def from_coin(image: Image, diameter_mm: float, source: str, name: str) -> Calibration:
    """A calibration from a picture of a coin, or another disc, alone on an even ground.

    Raises:
        ImageError: nothing round is found.
    """
    outline = _roundest(to_8bit(to_gray(image)))
    if outline is None:
        raise ImageError(f"{source}: shows no disc alone on an even ground; lay the coin on paper, all of it in sight")
    diameter = 2 * math.sqrt(_pixels_in(outline) / math.pi)
    _, axes, _ = cv2.fitEllipse(outline)
    oval = abs(axes[0] - axes[1]) / (axes[0] + axes[1])
    found = _simple(name, "coin", diameter_mm / diameter, 100 * max(oval, 0.5 / diameter))
    return found.model_copy(update={"width_px": image.shape[1], "height_px": image.shape[0]})


def _simple(name: str, method: Method, scale: float, error: float) -> Calibration:
    return Calibration(
        name=name, method=method, mm_per_pixel=float(f"{scale:.7g}"), error_percent=float(f"{error:.3g}")
    )


def _marks_in(image: Image, grid: Grid, source: str) -> Points:
    """Places of the marks, (N, 2) px, in the order of `Grid.marks`.

    Raises:
        ImageError: not all of them are seen.
    """
    gray, count = to_8bit(to_gray(image)), (grid.columns, grid.rows)
    if grid.kind == "chessboard":
        flags = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_EXHAUSTIVE | cv2.CALIB_CB_ACCURACY
        found, marks = cv2.findChessboardCornersSB(gray, count, flags=flags)
        if found:
            marks = _refined(gray, marks, count)
        what = "corners inside a chessboard, counted between squares"
    else:
        kind = cv2.CALIB_CB_ASYMMETRIC_GRID if grid.kind.startswith("asym") else cv2.CALIB_CB_SYMMETRIC_GRID
        found, marks = cv2.findCirclesGrid(gray, count, flags=kind | cv2.CALIB_CB_CLUSTERING, blobDetector=_dots(gray))
        what = "dark dots"
    if not found:
        way = "show all of them, sharp, and count again"
        raise ImageError(f"{source}: does not show {grid.columns} x {grid.rows} {what}; {way}")
    return np.asarray(marks, np.float64).reshape(-1, 2)


def _refined(gray: Image, marks: NDArray[np.float32], count: tuple[int, int]) -> NDArray[np.float32]:
    """Corners where the edges of the squares cross, to a twentieth of a pixel."""
    grid = marks.reshape(count[1], count[0], 2)
    nearest = min(np.linalg.norm(np.diff(grid, axis=axis), axis=-1).min() for axis in (0, 1))
    reach = int(np.clip(nearest / 4, 2, 15))
    enough = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 60, 1e-3)
    return cv2.cornerSubPix(gray, marks.reshape(-1, 1, 2).copy(), (reach, reach), (-1, -1), enough)


def _dots(gray: Image) -> cv2.SimpleBlobDetector:
    settings = cv2.SimpleBlobDetector.Params()
    settings.maxArea = gray.size / 20
    settings.minArea = 20
    settings.filterByConvexity = False
    return cv2.SimpleBlobDetector.create(settings)


def _lens(views: Sequence[Points], marks: Points, size: tuple[int, int]) -> Lens:
    """Of OpenCV's pinhole model. What views do not tell stays fixed.

    A flat grid seen straight on says nothing of how far away it is; then the camera counts as far away, where only the
    ratio of distance and distortion matters.
    """
    flags = cv2.CALIB_FIX_ASPECT_RATIO | cv2.CALIB_USE_INTRINSIC_GUESS | cv2.CALIB_FIX_K3
    if len(views) < 3:
        flags |= cv2.CALIB_ZERO_TANGENT_DIST | cv2.CALIB_FIX_PRINCIPAL_POINT
    far = _fit(views, marks, size, flags | cv2.CALIB_FIX_FOCAL_LENGTH, FAR)
    near = _fit(views, marks, size, flags, FAR / 4)
    return near if near.residual_px < CLEARLY * far.residual_px else far


def _fit(views: Sequence[Points], marks: Points, size: tuple[int, int], flags: int, distance: float) -> Lens:
    focal = distance * max(size)
    guess = np.array([[focal, 0, (size[0] - 1) / 2], [0, focal, (size[1] - 1) / 2], [0, 0, 1.0]])
    flat = np.concatenate([marks, np.zeros((len(marks), 1))], axis=1).astype(np.float32)
    seen = [view.astype(np.float32) for view in views]
    residual, matrix, bent, _, _ = cv2.calibrateCamera([flat] * len(views), seen, size, guess, np.zeros(5), flags=flags)
    k1, k2, p1, p2 = (float(value) for value in bent.ravel()[:4])
    return Lens(
        focal_px=float(matrix[0, 0]),
        centre_x_px=float(matrix[0, 2]),
        centre_y_px=float(matrix[1, 2]),
        radial=(k1, k2),
        tangential=(p1, p2),
        residual_px=float(f"{residual:.4g}"),
    )


def _middle(seen: Points, marks: Points, size: tuple[int, int]) -> NDArray[np.float64]:
    """Largest and smallest millimetres a pixel in the middle of the picture, in any direction.

    By the plane-to-plane mapping that fits best; its derivative there.
    """
    mapping, _ = cv2.findHomography(seen, marks)
    u, v, w = mapping @ [(size[0] - 1) / 2, (size[1] - 1) / 2, 1]
    derivative = np.stack([mapping[0, :2] * w - u * mapping[2, :2], mapping[1, :2] * w - v * mapping[2, :2]]) / w**2
    return np.linalg.svd(derivative, compute_uv=False)


def _scale(seen: Points, marks: Points, size: tuple[int, int]) -> float:
    """Millimetres a pixel in the middle of the picture: the side of a square as large as a pixel shows there."""
    return math.sqrt(float(np.prod(_middle(seen, marks, size))))


def _tilt(seen: Points, marks: Points, size: tuple[int, int]) -> float:
    """Degrees between the grid and the plane straight before the camera."""
    largest, smallest = _middle(seen, marks, size)
    return round(math.degrees(math.acos(min(1.0, smallest / largest))), 1)


def _error(seen: Points, grid: Grid, scale: float) -> float:
    """Per cent by which `SHARE` % of the lengths between marks in one row or column are wrong at most."""
    at = seen.reshape(grid.rows, grid.columns, 2)
    marks = grid.marks.reshape(grid.rows, grid.columns, 2)
    wrong: list[NDArray[np.float64]] = []
    for places, true in ((at, marks), (at.swapaxes(0, 1), marks.swapaxes(0, 1))):
        for steps in range(min(SPAN, len(places) - 1), len(places)):
            lengths = np.linalg.norm(places[steps:] - places[:-steps], axis=-1) * scale
            wrong.append(np.abs(lengths / np.linalg.norm(true[steps:] - true[:-steps], axis=-1) - 1).ravel())
    return float(f"{100 * np.percentile(np.concatenate(wrong), SHARE):.3g}")


def _larger(one: NDArray[np.int32], other: NDArray[np.int32]) -> bool:
    return bool(cv2.contourArea(one) > cv2.contourArea(other))


def _roundest(gray: Image) -> NDArray[np.int32] | None:
    """Outline (N, 1, 2) of the largest disc that is darker or brighter than its ground; None without one."""
    best: NDArray[np.int32] | None = None
    height, width = gray.shape
    for kind in (cv2.THRESH_BINARY, cv2.THRESH_BINARY_INV):
        _, mask = cv2.threshold(cv2.GaussianBlur(gray, (0, 0), 1), 0, 255, kind | cv2.THRESH_OTSU)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for outline in outlines:
            hull = cv2.convexHull(outline)
            _, radius = cv2.minEnclosingCircle(hull)
            left, top, across, down = cv2.boundingRect(hull)
            is_whole = left > 0 and top > 0 and left + across < width and top + down < height
            is_round = cv2.contourArea(hull) > ROUND * math.pi * radius**2
            if is_whole and is_round and 2 * radius >= LEAST_COIN and (best is None or _larger(hull, best)):
                # A hull bridges a glare at the rim; without one it would only touch the noise farthest out.
                best = outline if _pixels_in(outline) > SOLID * _pixels_in(hull) else hull
    return best


def _pixels_in(outline: NDArray[np.int32]) -> int:
    """How many pixels an outline (N, 1, 2) encloses, its own with them."""
    left, top, across, down = cv2.boundingRect(outline)
    drawn = np.zeros((down, across), np.uint8)
    return cv2.countNonZero(cv2.fillPoly(drawn, [outline - (left, top)], (1,)))
