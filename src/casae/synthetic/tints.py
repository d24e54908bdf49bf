"""Tints: heat and oxide stains that show in hue alone. They are as bright as the metal around them."""

import numpy as np
from numpy.typing import NDArray

from casae.synthetic.surfaces import cloud, draw_surface, expose

CLASSES = ("blue tint", "straw tint")
LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue, as pictures are turned gray (ITU-R BT.601)
SHIFTS = ((0.0, 0.16), (0.07, -0.16))  # of red and of blue, in full scales; green balances them


def draw_tinted(
    rng: np.random.Generator, height: int, width: int, defects: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A surface with tints, (H, W, 3) uint8 RGB, and its label values (H, W): k = `CLASSES[k - 1]`."""
    picture = expose(draw_surface(height, width, rng), rng).astype(np.float64)
    label = np.zeros((height, width), np.uint8)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for _ in range(defects):
        value = int(rng.integers(1, len(CLASSES) + 1))
        radius = rng.uniform(0.04, 0.12) * max(height, width)
        centre = rng.uniform(0.1, 0.9, 2) * (height, width)
        away = np.hypot(y - centre[0], x - centre[1]) / radius
        blob = (away + 0.35 * cloud((height, width), radius, rng) < 1) & (label == 0)
        label[blob] = value
        picture[blob] += 255 * rng.uniform(0.8, 1.2) * _shift(value)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), label


def _shift(value: int) -> NDArray[np.float64]:
    """What a tint adds to red, green and blue: nothing to the gray of them."""
    red, blue = SHIFTS[value - 1]
    return np.array([red, -(LUMA[0] * red + LUMA[2] * blue) / LUMA[1], blue])
