"""Which picture to label next, so that a model learns the most from it."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Order = Literal["newest", "random", "uncertain", "diverse"]
LEAST = 1e-6  # of a probability, and of what is divided by


def uncertainty(probability: NDArray[np.float32]) -> float:
    """How unsure a model is of a picture: the mean entropy of its pixels, in bits.

    Args:
        probability: P(defect) of every pixel, (H, W).

    >>> uncertainty(np.array([[0.5, 0.0]], np.float32)) > uncertainty(np.array([[0.9, 0.0]], np.float32))
    True
    """
    sure = np.clip(probability.astype(np.float64), LEAST, 1 - LEAST)
    return float(-(sure * np.log2(sure) + (1 - sure) * np.log2(1 - sure)).mean())


def farthest_first(features: NDArray[np.float32], labelled: NDArray[np.bool_]) -> list[int]:
    """Rows that are not labelled, each as far as can be from the labelled ones and those before it.

    This is the greedy k-centre of Sener and Savarese 2018 (arXiv:1708.00489) on features of deviation 1.

    Args:
        features: of pictures, (N, F).
        labelled: which are, (N). Where none is, the one in the middle comes first.

    >>> farthest_first(np.array([[0.0], [1.0], [9.0], [4.0]], np.float32), np.array([True, False, False, False]))
    [2, 3, 1]
    """
    table = features.astype(np.float64)
    table = (table - table.mean(0)) / np.maximum(table.std(0), LEAST)
    far = np.full(len(table), np.inf)
    for row in table[labelled]:
        far = np.minimum(far, _squares(table, row))
    far[labelled] = -1
    order: list[int] = []
    for _ in range(int((~labelled).sum())):
        none_yet = not labelled.any() and not order
        index = int(_squares(table, 0).argmin()) if none_yet else int(far.argmax())
        order.append(index)
        far = np.minimum(far, _squares(table, table[index]))
        far[[*order]] = -1
    return order


def _squares(table: NDArray[np.float64], row: NDArray[np.float64] | float) -> NDArray[np.float64]:
    squares: NDArray[np.float64] = ((table - row) ** 2).sum(1)
    return squares
