"""From which size on defects are found: the probability of detection, hit or miss.

MIL-HDBK-1823A (2009), Nondestructive Evaluation System Reliability Assessment, 3.2 and appendix G: the logarithm of the
odds of a hit is a line over the logarithm of the size. Fitted by Firth's penalised likelihood (Biometrika 80(1), 1993),
which has an answer also where all small defects are missed and all large ones found (Heinze and Schemper, Statistics in
Medicine 21(16), 2002).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from casae.errors import UsageError

FEWEST = 40  # defects; the handbook asks for 60
FEWEST_OF_EACH = 5  # hits, and misses
SURE = NormalDist().inv_cdf(0.95)  # one-sided
STEPS, ENOUGH = 200, 1e-9


@dataclass(frozen=True)
class Detection:
    """From which size on defects are found.

    Attributes:
        count: of defects; `hits` of them were found.
        hits: see `count`.
        a50, a90: sizes that are found in 50 and 90 of 100 cases; None where the defects do not tell.
        a90_95: size from which on at least 90 of 100 are found, with 95 % confidence; None where that is shown nowhere
            within the sizes that there are.
        least_90: with all found: the share that is shown with 95 % confidence, whatever the size; else None.
    """

    count: int
    hits: int
    a50: float | None = None
    a90: float | None = None
    a90_95: float | None = None
    least_90: float | None = None


def in_words(found: Detection, unit: str = "px²") -> str:
    """The sentence for people; empty where the defects do not tell.

    >>> in_words(Detection(120, 90, 12.0, 41.26, 73.2))
    '90 % of the defects of 41 px² are found, and surely at least so many from 73 px² on (hit or miss, 120 defects)'
    """
    told = f"hit or miss, {found.count} defects"
    if found.least_90 is not None:
        share = math.floor(100 * found.least_90)
        return f"all {found.count} defects were found: surely {share} % are (one-sided 95 %)"
    if found.a90 is None:
        return ""
    beyond = (
        f"surely at least so many from {found.a90_95:.0f} {unit} on"
        if found.a90_95
        else "from which size on is not sure"
    )
    return f"90 % of the defects of {found.a90:.0f} {unit} are found, and {beyond} ({told})"


def detection_probability(sizes: ArrayLike, found: ArrayLike) -> Detection:
    """Of defects by their size.

    Args:
        sizes: (N,), above 0, in any unit.
        found: (N,), true where the defect was.

    Raises:
        UsageError: a size is 0 or less, or both have different lengths.
    """
    size, hit = np.asarray(sizes, np.float64), np.asarray(found, bool)
    if size.shape != hit.shape or (size <= 0).any():
        raise UsageError("detection: needs a size above 0 for each defect; leave out those without")
    count, hits = len(size), int(hit.sum())
    if count and hits == count:
        return Detection(count, hits, least_90=0.05 ** (1 / count))
    if count < FEWEST or min(hits, count - hits) < FEWEST_OF_EACH:
        return Detection(count, hits)
    beta, spread = _fitted(np.log(size), hit)
    if beta[1] <= 0:  # larger ones are not found more often
        return Detection(count, hits)
    a50, a90 = (math.exp((_logit(share) - beta[0]) / beta[1]) for share in (0.5, 0.9))
    sure = _sure_from(beta, spread)
    within = None if sure is None or sure > math.log(size.max()) else math.exp(sure)
    return Detection(count, hits, a50, a90, within)


def _fitted(x: NDArray[np.float64], hit: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intercept and slope of the logarithm of the odds, (2,), and their covariance (2, 2)."""
    design = np.stack([np.ones_like(x), x - x.mean()], axis=1)
    beta = np.zeros(2)
    for _ in range(STEPS):
        share = 1 / (1 + np.exp(-design @ beta))
        weight = share * (1 - share)
        spread = np.linalg.inv((design * weight[:, None]).T @ design)
        lever = weight * np.einsum("ij,jk,ik->i", design, spread, design)
        step = spread @ (design.T @ (hit - share + lever * (0.5 - share)))
        beta += step / max(1.0, float(np.abs(step).max()))  # a long step may overshoot
        if np.abs(step).max() < ENOUGH:
            break
    back = np.array([[1, -x.mean()], [0, 1]])  # to x itself
    return back @ beta, back @ spread @ back.T


def _sure_from(beta: NDArray[np.float64], spread: NDArray[np.float64]) -> float | None:
    """Where the lower bound of the line reaches 90 %; None where it never does."""
    z, aim = SURE**2, beta[0] - _logit(0.9)
    a = beta[1] ** 2 - z * spread[1, 1]
    b = 2 * (beta[1] * aim - z * spread[0, 1])
    c = aim**2 - z * spread[0, 0]
    if a <= 0 or b * b < 4 * a * c:
        return None
    return float((-b + math.sqrt(b * b - 4 * a * c)) / (2 * a))


def _logit(share: float) -> float:
    return math.log(share / (1 - share))
