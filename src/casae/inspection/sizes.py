"""What length, width, area and contrast tell of a defect's class.

The compact CNN sees every defect at 227 x 227 px, so neither how large nor how long it is. Not in the paper.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from casae.config import Frozen
from casae.inspection.measurement import Measures

FEATURES = 4
FARTHEST = 3.0  # deviations from the mean of what was learned from, for sizes that were never seen
LEAST = 1e-4  # probability that the CNN leaves to a class which sizes speak for


class SizeClasses(Frozen):
    """A logistic regression on standardised features and their squares.

    Attributes:
        mean: of each of the `FEATURES`; `deviation` likewise.
        weights: for each class one for each feature, then one for each square.
        bias: of each class.
    """

    mean: tuple[float, ...] = Field(min_length=FEATURES, max_length=FEATURES)
    deviation: tuple[float, ...] = Field(min_length=FEATURES, max_length=FEATURES)
    weights: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]

    def weigh(self, probabilities: NDArray[np.float32], measures: Sequence[Measures]) -> NDArray[np.float32]:
        """Class probabilities (defects, classes) of the compact CNN times those that the measures give."""
        logits = standardised(features(measures), self.mean, self.deviation) @ np.array(self.weights).T + self.bias
        evidence = np.log(probabilities + LEAST) + logits
        weighed = np.exp(evidence - evidence.max(1, keepdims=True))
        return (weighed / weighed.sum(1, keepdims=True)).astype(np.float32)


def features(measures: Sequence[Measures]) -> NDArray[np.float64]:
    """Logarithms of length, width and area in px, and contrast in full scales: (defects, `FEATURES`)."""
    rows = [(m.length_px, m.width_px, m.area_px, m.contrast or 0.0) for m in measures]
    table = np.array(rows, np.float64).reshape(-1, FEATURES)
    table[:, :3] = np.log(np.maximum(table[:, :3], 1))
    return table


def standardised(table: NDArray[np.float64], mean: Sequence[float], deviation: Sequence[float]) -> NDArray[np.float64]:
    """Features in deviations from their mean, `FARTHEST` at most, then their squares: (defects, 2 `FEATURES`)."""
    z = np.clip((table - np.array(mean)) / np.array(deviation), -FARTHEST, FARTHEST)
    return np.concatenate([z, z**2], axis=1)
