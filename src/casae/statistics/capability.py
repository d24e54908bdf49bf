"""Whether a process keeps a limit: Ppk, by the distribution that the sizes may have.

Of all values together, so it is the performance Ppk and not Cpk, which goes by the spread within subgroups (AIAG SPC,
ISO 22514-1). With its interval after Bissell 1990 (How reliable is your capability index?, Applied Statistics 39(3));
normality after Anderson and Darling with the p-values of Stephens (D'Agostino and Stephens 1986, Goodness-of-Fit
Techniques, table 4.9); of many values that have neither distribution by percentiles (ISO 22514-2).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from casae.errors import UsageError

FEWEST = 20  # values; fewer say nothing of a distribution
FEWEST_OF_A_TAIL = 3000  # of fewer, the 99.865th percentile is one of the four largest, or larger than all
ALPHA = 0.05
NORMAL = NormalDist()
HIGHEST = 0.99865  # of a normal distribution below three sigma
Shape = Literal["normal", "lognormal", "neither"]


@dataclass(frozen=True)
class Capability:
    """How well sizes keep below a limit.

    Attributes:
        count: of values.
        mean, deviation: of them.
        limit: the largest allowed value.
        p_normal: of normality being refused wrongly.
        shape: which distribution is not refused; of logarithms, where that of the values is.
        index: Ppk. None where they have neither distribution and are too few for percentiles, or never change.
        low, high: its 95 % interval; None where it goes by percentiles.
        beyond: share of the values beyond the limit.
    """

    count: int
    mean: float
    deviation: float
    limit: float
    p_normal: float
    shape: Shape
    index: float | None
    low: float | None
    high: float | None
    beyond: float


def capability(values: ArrayLike, limit: float) -> Capability:
    """Of sizes against their largest allowed value.

    Args:
        values: (N).
        limit: in their unit.

    Raises:
        UsageError: there are fewer than `FEWEST` values.
    """
    table = np.asarray(values, np.float64)
    if len(table) < FEWEST:
        raise UsageError(f"capability: {len(table)} values say too little; {FEWEST} at least")
    mean, deviation = float(table.mean()), float(table.std(ddof=1))
    p_normal, beyond = normality(table), float((table > limit).mean())
    shape: Shape = "neither"
    index, low, high = None, None, None
    if deviation and p_normal >= ALPHA:
        shape, (index, low, high) = "normal", _with_interval(table, limit)
    elif deviation and table.min() > 0 and limit > 0 and normality(np.log(table)) >= ALPHA:
        shape, (index, low, high) = "lognormal", _with_interval(np.log(table), math.log(limit))
    elif deviation and len(table) >= FEWEST_OF_A_TAIL:
        middle, top = np.quantile(table, [0.5, HIGHEST])
        index = float((limit - middle) / (top - middle)) if top > middle else None
    return Capability(len(table), mean, deviation, limit, p_normal, shape, index, low, high, beyond)


def _with_interval(values: NDArray[np.float64], limit: float) -> tuple[float, float, float]:
    """Ppk of normal values (N,), and its interval."""
    count = len(values)
    index = float((limit - values.mean()) / (3 * values.std(ddof=1)))
    half = NORMAL.inv_cdf(1 - ALPHA / 2) * math.sqrt(1 / (9 * count) + index**2 / (2 * (count - 1)))
    return index, index - half, index + half


def normality(values: NDArray[np.float64]) -> float:
    """The p-value of the test of Anderson and Darling: small where values (N,) are not normal.

    Raises:
        UsageError: there are fewer than 8 values.
    """
    count = len(values)
    if count < 8:
        raise UsageError(f"normality: {count} values say too little; 8 at least")
    deviation = values.std(ddof=1)
    if deviation == 0:
        return 0.0
    z = np.sort((values - values.mean()) / deviation)
    below = np.array([NORMAL.cdf(value) for value in z])
    tiny = np.finfo(np.float64).tiny
    logs = np.log(np.maximum(below, tiny)) + np.log(np.maximum(1 - below[::-1], tiny))
    square = -count - float(((2 * np.arange(1, count + 1) - 1) * logs).mean())
    adjusted = square * (1 + 0.75 / count + 2.25 / count**2)
    if adjusted >= 13:
        return 0.0
    if adjusted >= 0.6:
        return math.exp(1.2937 - 5.709 * adjusted + 0.0186 * adjusted**2)
    if adjusted >= 0.34:
        return math.exp(0.9177 - 4.279 * adjusted - 1.38 * adjusted**2)
    if adjusted >= 0.2:
        return 1 - math.exp(-8.318 + 42.796 * adjusted - 59.938 * adjusted**2)
    return 1 - math.exp(-13.436 + 101.14 * adjusted - 223.73 * adjusted**2)
