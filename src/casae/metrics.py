"""Pixel and region scores: count once, derive everything; intervals by bootstrap over images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

BOOTSTRAP_DRAWS = 1000
FEWEST_IMAGES = 8  # of three, the 95 % interval holds the true score in 74 % of cases, of eight in 90


@dataclass(frozen=True)
class Counts:
    """Pixels of the defect class: true positives, false positives, false negatives, true negatives."""

    tp: int
    fp: int
    fn: int
    tn: int

    @classmethod
    def of(cls, predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> "Counts":
        """Count two masks of one shape (H, W), True = defect.

        >>> Counts.of(np.array([[True, True]]), np.array([[True, False]])).iou
        0.5
        """
        if predicted.shape != truth.shape:
            raise ValueError(f"masks of {predicted.shape} and {truth.shape}: both must have the image's size")
        tp = int(np.count_nonzero(predicted & truth))
        fp = int(np.count_nonzero(predicted)) - tp
        fn = int(np.count_nonzero(truth)) - tp
        return cls(tp, fp, fn, truth.size - tp - fp - fn)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @property
    def iou(self) -> float:
        """Intersection over union, equation (3) of the paper; 1 where neither mask has a defect."""
        return ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        """Share of the found pixels that are defects; 1 where nothing was found."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of the defective pixels that were found; 1 where there are none."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


@dataclass(frozen=True)
class Interval:
    """A score with its 95 % bootstrap interval over images.

    All None where nothing could be counted; no interval from fewer than `FEWEST_IMAGES` images.
    """

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def spread(self) -> str:
        """The interval in words, "0.720 .. 0.757"; empty where there is none."""
        if self.low is None:
            return ""
        return "none: all images alike" if self.low == self.high else f"{self.low:.3f} .. {self.high:.3f}"


def ratio(part: float, whole: float) -> float:
    """Part / whole, and 1 where there was nothing to get wrong."""
    return part / whole if whole else 1.0


def average_precision(scores: ArrayLike, truths: ArrayLike) -> float | None:
    """Average precision: precision at each score that occurs, weighted by the recall gained there; ties count at once.

    Args:
        scores: (N,), larger means more likely a defect.
        truths: (N,), true where there is one.

    Returns:
        0..1; None if all or none have a defect.

    >>> round(average_precision([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0]), 4)  # 1/2 * 1 + 1/2 * 2/3
    0.8333
    """
    values, defective = np.asarray(scores, np.float64), np.asarray(truths, bool)
    if defective.all() or not defective.any():
        return None
    order = np.argsort(-values, kind="stable")
    hits = np.cumsum(defective[order])
    last = np.append(values[order][1:] != values[order][:-1], True)  # of those with the same score
    precision, recall = hits[last] / (np.flatnonzero(last) + 1), hits[last] / hits[-1]
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def roc_auc(positive: NDArray[np.int64], negative: NDArray[np.int64]) -> float | None:
    """Area under the ROC curve from two histograms over the same rising scores, (levels,); ties count half.

    >>> roc_auc(np.array([0, 1, 1]), np.array([1, 1, 0]))
    0.875
    """
    pairs = float(positive.sum()) * float(negative.sum())
    if not pairs:
        return None
    below = np.concatenate([[0], np.cumsum(negative)[:-1]])
    return float((positive * (below + negative / 2)).sum() / pairs)


def bootstrap(
    per_image: ArrayLike, statistic: Callable[[NDArray[np.float64]], float | None], *, seed: int = 0
) -> Interval:
    """Percentile bootstrap over images.

    Args:
        per_image: (images, columns) counts or scores, one row per image; of few, resampling says too little.
        statistic: rows -> score; called on resampled rows. None where it is undefined.
        seed: of the resampling.
    """
    rows = np.asarray(per_image, dtype=np.float64)
    value = statistic(rows) if len(rows) else None
    if value is None:
        return Interval(None)
    if len(rows) < FEWEST_IMAGES:
        return Interval(float(value))
    rng = np.random.default_rng(seed)
    draws = [statistic(rows[rng.integers(0, len(rows), len(rows))]) for _ in range(BOOTSTRAP_DRAWS)]
    low, high = np.percentile([draw for draw in draws if draw is not None], [2.5, 97.5])
    return Interval(float(value), float(low), float(high))
