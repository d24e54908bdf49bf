"""The picture a person checks: defective pixels green, minimum enclosing rectangles red (paper, Figures 2 and 6)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.image import Image, to_8bit
from casae.inspection.inspector import Defect, Inspection

GREEN, RED, WHITE = (0, 200, 0), (230, 30, 30), (255, 255, 255)  # RGB
GREEN_SHARE = 0.45  # of the colour of a defective pixel
SHORTEST_SIDE = 480  # smaller images are enlarged, or labels would cover them
LONGEST_SIDE = 2000  # larger ones are reduced
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_overlay(inspection: Inspection) -> NDArray[np.uint8]:
    """The image with its defects marked, (h, w, 3) uint8 RGB, enlarged or reduced to a size people can look at."""
    picture = to_rgb(inspection.image)
    scale = picture_scale(picture.shape)
    picture = scaled(picture, scale, cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    line = max(1, round(min(picture.shape[:2]) / 400))
    found = scaled(inspection.mask.view(np.uint8), scale, cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST) > 0
    picture[found] = ((1 - GREEN_SHARE) * picture[found] + GREEN_SHARE * np.array(GREEN)).astype(np.uint8)
    outlines = [(c + 0.5) * scale - 0.5 for defect in inspection.defects for c in defect.region.contours]
    cv2.polylines(picture, [_fixed(points) for points in outlines], True, GREEN, line, cv2.LINE_AA, 4)
    for defect in reversed(inspection.defects):
        corners = (defect.region.rectangle.corners + 0.5) * scale - 0.5
        cv2.polylines(picture, [_fixed(corners)], True, RED, line, cv2.LINE_AA, 4)
        _write(picture, label(defect), corners, line)
    return picture


def label(defect: Defect) -> str:
    """What stands beside a defect: number, class, length in the best unit known."""
    sizes = defect.measures
    length = f"{sizes.length_px:.0f} px" if sizes.length_mm is None else f"{sizes.length_mm:.2f} mm"
    return f"{defect.number} {defect.name} {length}"


def to_rgb(image: Image) -> NDArray[np.uint8]:
    """Any image -> a copy (H, W, 3) uint8."""
    picture = to_8bit(image)
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB) if picture.ndim == 2 else picture.copy()


def picture_scale(shape: tuple[int, ...]) -> float:
    """Factor that brings an image to a size for looking: whole when it grows, so that pixels stay square."""
    longest, shortest = max(shape[:2]), min(shape[:2])
    if longest > LONGEST_SIDE:
        return LONGEST_SIDE / longest
    return float(max(1, min(SHORTEST_SIDE // shortest, LONGEST_SIDE // longest)))


def scaled(image: Image, scale: float, interpolation: int) -> Image:
    """Resize by a factor; at least one pixel a side."""
    if scale == 1:
        return image.copy()
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=interpolation)


def encode(picture: NDArray[np.uint8], suffix: str) -> bytes:
    """RGB or gray uint8 -> bytes of a .jpg or .png file."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    done, data = cv2.imencode(suffix, bgr)
    if not done:
        raise ValueError(f"{suffix}: OpenCV cannot encode a picture of shape {picture.shape} as this")
    return bytes(data)


def _fixed(points: Image) -> NDArray[np.int32]:
    """Points in OpenCV's fixed-point form with 4 fractional bits."""
    return np.rint(points * 16).astype(np.int32)


def _write(picture: NDArray[np.uint8], text: str, corners: NDArray[np.float64], line: int) -> None:
    height, width = picture.shape[:2]
    size = 0.42 * max(1.0, min(height, width) / 640)
    (text_width, text_height), below = cv2.getTextSize(text, FONT, size, line)
    x = int(np.clip(corners[:, 0].min(), 0, max(0, width - text_width - 4)))
    top = corners[:, 1].min() - below - 3
    y = int(top if top > text_height + 2 else min(corners[:, 1].max() + text_height + 4, height - below - 2))
    cv2.rectangle(picture, (x, y - text_height - 3), (x + text_width + 4, y + below), RED, cv2.FILLED)
    cv2.putText(picture, text, (x + 2, y - 1), FONT, size, WHITE, line, cv2.LINE_AA)
