"""Procedural defects, drawn into a surface together with their exact masks.

Each brush takes the picture (H, W, 3) float32 and returns the mask (H, W) bool of what it changed noticeably. Looks
follow the paper's Figures 1, 2 and 6; lengths are in pixels of a 2720 x 2040 picture and follow `scale`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.synthetic.surfaces import Picture, cloud

Mask = NDArray[np.bool_]
Brush = Callable[[Picture, float, np.random.Generator], Mask]

VISIBLE = 0.35  # share of a defect's own colour from which a pixel belongs to it
CHARRED, BROWN, GLUE, BLACK = (0.10, 0.07, 0.05), (0.33, 0.24, 0.16), (0.45, 0.36, 0.27), (0.03, 0.03, 0.03)


def draw_damage_spot(picture: Picture, scale: float, rng: np.random.Generator) -> Mask:
    """Compact and rough, dark brown to black, grainy inside, sharp irregular outline; sometimes a ring."""
    radius = rng.uniform(14, 75) * scale
    field, window = _blob(picture, radius, rng.uniform(1, 2.6), rng, roughness=0.13)
    shape = field.shape
    ring = rng.random() < 0.25
    alpha = np.clip(field * radius / 1.5, 0, 1)
    body = np.array(CHARRED, np.float32) + np.float32(rng.uniform(0, 0.10)) * np.array([1.2, 0.9, 0.6], np.float32)
    grains = np.clip(cloud(shape, 5 * scale, rng) * 0.09 + cloud(shape, 12 * scale, rng) * 0.05, -0.1, 0.35)
    colour = np.clip(body + grains[..., None] * np.array([1.1, 0.95, 0.8], np.float32), 0, 1)
    if ring:
        light = np.clip((field - 0.55) * 4, 0, 1)[..., None] * 0.8
        colour = colour * (1 - light) + (picture[window] * np.array([1.05, 0.95, 0.85], np.float32)) * light
    return _blend(picture, window, alpha, colour)


def draw_dust(picture: Picture, scale: float, rng: np.random.Generator) -> Mask:
    """Compact black blob, smooth, often out of focus."""
    radius = rng.uniform(16, 60) * scale
    field, window = _blob(picture, radius, rng.uniform(1, 1.8), rng, roughness=0.16, lumps=0.35)
    focus = rng.uniform(0.10, 0.8)
    alpha = np.clip(field / focus + 0.1, 0, 1) * np.float32(rng.uniform(0.85, 1))
    return _blend(picture, window, alpha, np.array(BLACK, np.float32) + np.float32(rng.uniform(0, 0.07)))


def draw_fibre(picture: Picture, scale: float, rng: np.random.Generator) -> Mask:
    """One long curved dark strand, brighter along its middle, fading at one end."""
    points = _curve(picture.shape, rng.uniform(260, 1100) * scale, rng.uniform(0.8, 2.6), scale, rng)
    distance, along = _near(points, picture.shape)
    half = rng.uniform(5, 13) * scale * (0.75 + 0.25 * np.cos(along * rng.uniform(3, 9)))
    edge = np.clip((half - distance) / max(0.7, 2.5 * scale) + 0.5, 0, 1)
    fade = np.clip((1 - along) * rng.uniform(1.6, 6), 0, 1)
    alpha = edge * (0.25 + 0.75 * fade) * np.float32(rng.uniform(0.8, 0.97))
    sheen = np.exp(-((distance / (0.35 * half + 1e-3)) ** 2)) * rng.uniform(0.05, 0.16)
    colour = np.array(BLACK, np.float32) + sheen[..., None] * np.array([1.1, 0.9, 0.9], np.float32)
    return _blend(picture, _whole(picture), alpha, colour)


def draw_glue_streak(picture: Picture, scale: float, rng: np.random.Generator) -> Mask:
    """Long tapering streak: an uneven dark core in a brownish seam, with bulges."""
    points = _curve(picture.shape, rng.uniform(240, 1300) * scale, rng.uniform(0, 0.25), scale, rng)
    distance, along = _near(points, picture.shape)
    swell = 1 + 1.4 * np.exp(-(((along - rng.uniform(0.1, 0.9)) / 0.04) ** 2))
    half = rng.uniform(5, 15) * scale * swell * np.clip(1.25 - np.abs(2 * along - rng.uniform(0.3, 1.7)), 0.25, 1)
    uneven = cloud(picture.shape[:2], 14 * scale, rng)
    seam = np.clip((half - distance) / max(0.7, 2.0 * scale) + 0.5 + 0.25 * uneven, 0, 1)
    core = np.clip((0.5 * half - distance) / max(0.7, 2.0 * scale) + 0.6 + 0.9 * uneven, 0, 1)
    strength = rng.uniform(0.45, 0.8)
    mask = _blend(picture, _whole(picture), seam * strength, np.array(GLUE, np.float32))
    _blend(picture, _whole(picture), core * seam * rng.uniform(0.5, 0.9), np.array(BROWN, np.float32) * 0.35)
    return mask | (seam > 0.5)


def draw_glue_spots(picture: Picture, scale: float, rng: np.random.Generator) -> Mask:
    """A cluster of droplets and rims in relief: one bright edge, one dark edge, brownish in between."""
    height, width = picture.shape[:2]
    spread = rng.uniform(25, 110) * scale
    radii = rng.uniform(5, 17, rng.integers(4, 22)) * scale
    reach = int(3 * spread + radii.max() * 2) + 4
    cx, cy = _place(picture.shape, rng)
    window = _window((cx - reach, cy - reach), (2 * reach, 2 * reach), (height, width))
    y, x = np.mgrid[window].astype(np.float32)
    relief = np.zeros(x.shape, np.float32)
    stretch = rng.uniform(0.4, 1, 2)
    for radius in np.maximum(radii, 2.0):
        at = np.array([cx, cy]) + rng.normal(0, spread, 2) * stretch
        away = np.hypot((x - at[0]) * rng.uniform(0.7, 1.3), y - at[1]) / radius
        rim = np.exp(-(((away - 0.75) / 0.3) ** 2)) if rng.random() < 0.4 else np.clip(1.2 - away, 0, 1)
        relief = np.maximum(relief, rim.astype(np.float32))
    relief *= np.clip(1 + 0.25 * cloud(relief.shape, 6 * scale, rng), 0.3, 1.5)
    alpha = np.clip(relief * 2.2, 0, 1)
    angle = rng.uniform(0, 2 * np.pi)
    slope = cv2.Sobel(relief, cv2.CV_32F, 1, 0) * np.cos(angle) + cv2.Sobel(relief, cv2.CV_32F, 0, 1) * np.sin(angle)
    shade = np.clip(slope * max(scale, 0.25) * rng.uniform(0.5, 0.9), -0.5, 0.22)[..., None]
    brown = np.array(GLUE, np.float32) * rng.uniform(0.75, 1.15)
    colour = np.clip(0.45 * picture[window] + 0.55 * brown + shade, 0, 1)
    return _blend(picture, window, alpha * rng.uniform(0.65, 0.95), colour)


def draw_scratch(picture: Picture, scale: float, rng: np.random.Generator) -> Mask:
    """Straight hairline of 1 to 4 px at full size, brown or dark, near the background's contrast."""
    height, width = picture.shape[:2]
    angle, length = rng.uniform(0, np.pi), rng.uniform(350, 1900) * scale
    x0, y0 = _place(picture.shape, rng)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    along = ((x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)) / length
    across = np.abs(-(x - x0) * np.sin(angle) + (y - y0) * np.cos(angle))
    half = max(0.5, rng.uniform(0.6, 2.0) * scale)
    profile = np.clip(half + 0.5 - across, 0, 1) * (np.abs(along) < 0.5)
    uneven = np.clip(0.85 + 0.2 * np.interp(along, np.linspace(-0.5, 0.5, 40), rng.standard_normal(40)), 0.4, 1)
    strength = rng.uniform(0.35, 0.8)
    colour = np.array(BROWN if rng.random() < 0.6 else CHARRED, np.float32)
    _blend(picture, _whole(picture), (profile * uneven * strength).astype(np.float32), colour)
    return np.asarray(profile >= 0.5, np.bool_)


CLASSES = ("damage spot", "glue mark", "dust or fibre", "scratch")
BRUSHES: Mapping[str, tuple[Brush, ...]] = {
    "damage spot": (draw_damage_spot,),
    "glue mark": (draw_glue_streak, draw_glue_spots),
    "dust or fibre": (draw_dust, draw_fibre),
    "scratch": (draw_scratch,),
}


def _blend(picture: Picture, window: tuple[slice, slice], alpha: NDArray[Any], colour: NDArray[Any]) -> Mask:
    """Paint `colour` over the window with opacity `alpha`; the mask is where that is noticeable."""
    opacity = alpha[..., None].astype(np.float32)
    picture[window] = picture[window] * (1 - opacity) + colour * opacity
    mask = np.zeros(picture.shape[:2], np.bool_)
    mask[window] = alpha > VISIBLE
    return mask


def _blob(
    picture: Picture, radius: float, aspect: float, rng: np.random.Generator, roughness: float, lumps: float = 0.25
) -> tuple[Picture, tuple[slice, slice]]:
    """A field that is positive inside an irregular blob (1 in its middle), and its window in the picture."""
    radius = max(radius, 3.0)
    cx, cy = _place(picture.shape, rng)
    reach = int(radius * aspect * 1.8) + 3
    window = _window((cx - reach, cy - reach), (2 * reach, 2 * reach), picture.shape)
    y, x = np.mgrid[window].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
    v = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
    away = np.hypot(u / aspect, v) / radius
    noise = lumps * cloud(x.shape, radius * 0.7, rng) + roughness * cloud(x.shape, max(2.0, radius * 0.15), rng)
    return np.asarray(1 - away + noise * np.clip(away * 1.2, 0.2, 1) * np.clip(1.7 - away, 0, 1), np.float32), window


def _curve(
    shape: tuple[int, ...], length: float, bend: float, scale: float, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Pixels (N, 2), (x, y), along a smooth curve of about `length` px that turns by about `bend` radians."""
    count = max(8, int(length))
    turning = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, 6), rng.standard_normal(6)) * bend / count * 2.2
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(turning)
    path = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1), 0)
    path += np.array(_place(shape, rng)) - path[count // 2]
    return np.rint(path).astype(np.int32)


def _near(points: NDArray[np.int32], shape: tuple[int, ...]) -> tuple[Picture, Picture]:
    """Distance (H, W) of every pixel to the nearest point, and that point's place along the curve, 0..1."""
    height, width = shape[:2]
    inside = (points >= 0).all(1) & (points[:, 0] < width) & (points[:, 1] < height)
    place = np.linspace(0, 1, len(points), dtype=np.float32)[inside]
    columns, rows = points[inside].T
    away = np.ones((height, width), np.uint8)
    away[rows, columns] = 0
    distance, labels = cv2.distanceTransformWithLabels(away, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    places = np.zeros(int(labels.max()) + 1, np.float32)
    places[labels[rows, columns]] = place
    return distance, places[labels]


def _place(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[float, float]:
    return float(rng.uniform(0.03, 0.97) * shape[1]), float(rng.uniform(0.03, 0.97) * shape[0])


def _window(start: tuple[float, float], size: tuple[int, int], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Row and column slices of a box at (x, y) of (width, height), cut to the picture."""
    x, y = int(start[0]), int(start[1])
    return slice(max(0, y), min(shape[0], y + size[1])), slice(max(0, x), min(shape[1], x + size[0]))


def _whole(picture: Picture) -> tuple[slice, slice]:
    return slice(0, picture.shape[0]), slice(0, picture.shape[1])
