"""What length, width, area, contrast and direction tell of a defect's class.

The compact CNN sees every defect upright at 227 x 227 px, so neither how large and long it is nor how it lies. Not in
the paper.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from casae.inspection.measurement import Measures
from casae.models.bundle import SIZE_FEATURES, SizeClasses

FARTHEST = 3.0  # deviations from the mean of what was learned from, for sizes that were never seen
LEAST = 1e-4  # probability that the CNN leaves to a class which sizes speak for


def weigh(sizes: SizeClasses, probabilities: NDArray[np.float32], measures: Sequence[Measures]) -> NDArray[np.float32]:
    """Class probabilities (defects, classes) of the compact CNN times those that the measures give."""
    table = standardised(features(measures), sizes.mean, sizes.deviation)
    evidence = np.log(probabilities + LEAST) + table @ np.array(sizes.weights).T + sizes.bias
    told = np.exp(evidence - evidence.max(1, keepdims=True))
    return (told / told.sum(1, keepdims=True)).astype(np.float32)


def features(measures: Sequence[Measures]) -> NDArray[np.float64]:
    """Logarithms of length, width and area in px, contrast in full scales, and direction: (defects, `SIZE_FEATURES`).

    The latter as cosine and sine of twice the angle, times how much longer than wide a defect is, 0..1.
    """
    rows = [(m.length_px, m.width_px, m.area_px, m.contrast or 0.0, *_direction(m)) for m in measures]
    table = np.array(rows, np.float64).reshape(-1, SIZE_FEATURES)
    table[:, :3] = np.log(np.maximum(table[:, :3], 1))
    return table


def _direction(measures: Measures) -> tuple[float, float]:
    long, angle = 1 - measures.width_px / max(measures.length_px, 1), math.radians(2 * measures.angle_deg)
    return long * math.cos(angle), long * math.sin(angle)


def standardised(table: NDArray[np.float64], mean: Sequence[float], deviation: Sequence[float]) -> NDArray[np.float64]:
    """Features in deviations from their mean, `FARTHEST` at most, then their squares: (defects, features)."""
    z = np.clip((table - np.array(mean)) / np.array(deviation), -FARTHEST, FARTHEST)
    return np.concatenate([z, z**2], axis=1)
