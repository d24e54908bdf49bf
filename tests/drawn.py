"""Shapes of known size, as a camera would sample them: a pixel is inside where its centre is."""

import numpy as np


def bar(length: float, width: float, degrees: float, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """A rectangle turned counter-clockwise as seen, in the middle of a mask and `shift` (x, y) px beside it."""
    side = int(1.5 * max(length, width)) + 12
    x, y = np.arange(side) - side / 2 - shift[0], (np.arange(side) - side / 2 - shift[1])[:, None]
    angle = np.deg2rad(degrees)
    along, across = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    return (abs(along) <= length / 2) & (abs(across) <= width / 2)


def disc(diameter: float, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """A disc in the middle of a mask and `shift` (x, y) px beside it."""
    side = int(diameter) + 8
    x, y = np.arange(side) - side / 2 - shift[0], (np.arange(side) - side / 2 - shift[1])[:, None]
    return np.hypot(x, y) <= diameter / 2


def arc(radius: float, width: float, degrees: float) -> np.ndarray:
    """A band along part of a circle."""
    side = int(2 * radius + 2 * width) + 12
    x, y = np.arange(side) - side / 2, (np.arange(side) - side / 2)[:, None]
    return (abs(np.hypot(x, y) - radius) <= width / 2) & (np.rad2deg(np.arctan2(y, x)) % 360 <= degrees)
