"""Whether a process keeps a limit: Cpk where sizes may be normal, else what percentiles say.

Cpk with its interval after Bissell 1990 (How reliable is your capability index?, Applied Statistics 39(3)); normality
after Anderson and Darling with the p-values of Stephens (D'Agostino and Stephens 1986, Goodness-of-Fit Techniques,
table 4.9); Ppk by percentiles after ISO 22514-2.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from casae.errors import UsageError

FEWEST = 20  # values; fewer say nothing of a distribution
ALPHA = 0.05
NORMAL = NormalDist()
LOWEST, HIGHEST = 0.00135, 0.99865  # of a normal distribution within three sigma


@dataclass(frozen=True)
class Capability:
    """How well sizes keep below a limit.

    Attributes:
        count: of values.
        mean, deviation: of them.
        limit: the largest allowed value.
        p_normal: of normality being refused wrongly.
        normal: whether it is not refused.
        index: Cpk where normal, else Ppk by percentiles.
        low, high: 95 % interval of Cpk; None where not normal.
        beyond: share of the values beyond the limit.
    """

    count: int
    mean: float
    deviation: float
    limit: float
    p_normal: float
    normal: bool
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
    p_normal = normality(table)
    beyond = float((table > limit).mean())
    if deviation == 0:
        return Capability(len(table), mean, 0.0, limit, p_normal, False, None, None, None, beyond)
    if p_normal < ALPHA:
        middle, top = np.quantile(table, [0.5, HIGHEST])
        index = float((limit - middle) / (top - middle)) if top > middle else None
        return Capability(len(table), mean, deviation, limit, p_normal, False, index, None, None, beyond)
    index = (limit - mean) / (3 * deviation)
    half = NORMAL.inv_cdf(1 - ALPHA / 2) * math.sqrt(1 / (9 * len(table)) + index**2 / (2 * (len(table) - 1)))
    return Capability(len(table), mean, deviation, limit, p_normal, True, index, index - half, index + half, beyond)


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
