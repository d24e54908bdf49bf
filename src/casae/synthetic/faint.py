"""Faint defects: areas a little darker or brighter than the metal around them, up to a fifth of the part, and pits."""

import numpy as np
from numpy.typing import NDArray

from casae.synthetic.defects import draw_damage_spot
from casae.synthetic.surfaces import FULL_WIDTH, cloud, draw_surface, expose

CLASSES = ("pit", "uneven area")
SMALLEST, LARGEST = 0.02, 0.20  # of the picture that an uneven area covers
FAINTEST, STRONGEST = 0.04, 0.08  # of the brightness that it changes by
RIM = 0.35  # of its radius over which it fades


def draw_faint(
    rng: np.random.Generator, height: int, width: int, defects: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A surface with pits and at most one uneven area, (H, W, 3) uint8 RGB, and its label values (H, W)."""
    picture = draw_surface(height, width, rng)
    label = np.zeros((height, width), np.uint8)
    if defects:
        defects -= 1
        gain, area = _uneven(height, width, rng)
        picture *= gain[..., None]
        label[area] = 1 + CLASSES.index("uneven area")
    for _ in range(defects):
        pit = draw_damage_spot(picture, 0.5 * max(height, width) / FULL_WIDTH, rng)
        label[pit] = 1 + CLASSES.index("pit")
    return expose(picture, rng), label


def _uneven(height: int, width: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What an area changes the brightness by (H, W), and its pixels: those that change by half of the most."""
    radius = float(np.sqrt(rng.uniform(SMALLEST, LARGEST) * height * width / np.pi))
    aspect = np.exp(rng.uniform(-0.4, 0.4))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    centre = rng.uniform(0.2, 0.8, 2) * (height, width)
    away = np.hypot((y - centre[0]) * aspect, (x - centre[1]) / aspect) / radius
    away += 0.12 * cloud((height, width), radius, rng)
    covered = np.clip((1 - away) / RIM + 0.5, 0, 1)
    change = rng.choice([-1, 1]) * rng.uniform(FAINTEST, STRONGEST)
    return (1 + change * covered).astype(np.float32), covered >= 0.5
