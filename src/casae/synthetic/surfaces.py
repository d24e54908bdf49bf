"""Procedural metal: the matt, fine-grained, unevenly lit surface of a component under a bright-field microscope.

Lengths are given in pixels of a 2720 x 2040 picture, the paper's size, and follow `scale` for other sizes. Pictures are
float32 RGB in 0..1 until they are finished.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

FULL_WIDTH = 2720  # px, the paper's camera

# Colours of surface films, RGB in 0..1, read off by eye from the paper's description: olive-gray, blue, light gray,
# greenish, warm gray.
FILMS = (
    (0.58, 0.57, 0.47),
    (0.52, 0.62, 0.70),
    (0.71, 0.73, 0.74),
    (0.62, 0.67, 0.62),
    (0.68, 0.66, 0.63),
)

Picture = NDArray[np.float32]


def draw_surface(height: int, width: int, rng: np.random.Generator) -> Picture:
    """A flat part without defects, (H, W, 3) float32: film colour, grain, tiny specks, light falling to one side."""
    scale = width / FULL_WIDTH
    film = np.array(FILMS[rng.integers(len(FILMS))], np.float32) * rng.uniform(0.88, 1.08)
    film = film + rng.normal(0, 0.012, 3).astype(np.float32)
    grain = draw_grain(height, width, scale, rng)
    tint = rng.normal(0, 0.18, 3).astype(np.float32)  # grains differ a little in colour, too
    mottle = cloud((height, width), 60 * scale, rng)[..., None] * 0.02 * tint
    surface = film * (1 + grain[..., None]) + mottle + (grain[..., None] * 0.15 * tint)
    _draw_specks(surface, scale, rng)
    return np.asarray(surface * _light(height, width, rng)[..., None], np.float32)


def draw_grain(height: int, width: int, scale: float, rng: np.random.Generator) -> Picture:
    """Sand-blasted texture (H, W) around 0: a coarse and a fine grain, with sparse bright facets."""
    coarse = cloud((height, width), 11 * scale, rng)
    fine = cloud((height, width), 4.5 * scale, rng)
    facets = np.clip(fine + 0.6 * coarse - 1.9, 0, None)
    strength = rng.uniform(0.7, 1.3)
    return np.asarray(strength * (0.035 * coarse + 0.04 * fine + 0.05 * facets), np.float32)


def cloud(shape: tuple[int, ...], cell: float, rng: np.random.Generator) -> Picture:
    """Smooth noise of `shape` (H, W), mean 0 and standard deviation about 1, structures of about `cell` px."""
    height, width = shape
    cell = max(1.0, cell)
    rows, columns = int(height / cell) + 3, int(width / cell) + 3
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    size = round(columns * cell), round(rows * cell)
    smooth = coarse if cell == 1.0 else cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth[:height, :width] * (1.25 if cell > 1 else 1), np.float32)


def expose(picture: Picture, rng: np.random.Generator) -> NDArray[np.uint8]:
    """What the camera makes of a picture: slight blur of the lens, sensor noise, 8 bits. (H, W, 3) uint8 RGB."""
    blurred = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 0.8))
    noise = rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(rng.uniform(0.006, 0.014))
    return np.clip((blurred + noise) * 255 + 0.5, 0, 255).astype(np.uint8)


def _light(height: int, width: int, rng: np.random.Generator) -> Picture:
    """Brightness (H, W) around 1: falls smoothly to one side, and a little to the corners."""
    y, x = np.mgrid[-1 : 1 : complex(height), -1 : 1 : complex(width)].astype(np.float32)
    angle, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0.03, 0.16)
    slope = fall * (np.cos(angle) * x + np.sin(angle) * y)
    return np.asarray(1 + slope - rng.uniform(0, 0.05) * (x * x + y * y), np.float32)


def _draw_specks(surface: Picture, scale: float, rng: np.random.Generator) -> None:
    """Tiny dark dots, a few pixels each: everywhere, and no defects."""
    height, width = surface.shape[:2]
    dark = np.zeros((height, width), np.float32)
    for _ in range(rng.poisson(110)):
        centre = int(rng.integers(width)), int(rng.integers(height))
        radius = max(0.5, rng.uniform(1.5, 4.5) * scale)
        fixed = (centre[0] * 16, centre[1] * 16)
        cv2.circle(dark, fixed, round(radius * 16), float(rng.uniform(0.15, 0.6)), cv2.FILLED, cv2.LINE_AA, 4)
    dark = cv2.GaussianBlur(dark, (0, 0), max(0.4, 1.2 * scale))
    surface *= 1 - dark[..., None]
