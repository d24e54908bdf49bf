"""How far a picture, or the crop of a defect, lies from those that a model has learned.

The networks' own features, averaged over the picture, are compared with a Gaussian of the learned ones (as Lee et al.
2018, arXiv:1807.03888, do): the distance of Mahalanobis. There are fewer pictures than features, so the covariance is
shrunk towards a ball (Ledoit and Wolf 2004, doi:10.1016/S0047-259X(03)00096-4), and its widest directions are kept.
"""

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from casae.models.bundle import Familiar

FEWEST = 8  # pictures or crops that tell what is usual
MOST_DIRECTIONS, ROWS_A_DIRECTION = 32, 10  # fewer pictures do not tell how wide a direction is
FOLDS = 30
LEAST_DEVIATION = 0.1  # of the median one, for features that hardly ever change
LEAST_SHARE = 0.01  # of the ball, so that no direction is without width
MOST_LOG = 13.0  # of a limit
SMALLEST = 1e-6  # that a bundle holds, of what is divided by
BEYOND = 0.002  # of pictures like the learned ones lie beyond the limit, if logarithms of distances were normal

Table = NDArray[np.float64]
Features = NDArray[np.float32] | Table


@dataclass(frozen=True, eq=False)
class Usual:
    """What features of learned pictures or crops are like; see `Familiar`, which is how a bundle holds it."""

    mean: Table
    deviation: Table
    directions: Table
    variances: Table
    rest: float
    limit: float = 1.0

    @classmethod
    def known(cls, familiar: Familiar) -> Self:
        """As a bundle holds it."""
        directions = np.array(familiar.directions, np.float64).reshape(-1, len(familiar.mean))
        arrays = np.array(familiar.mean), np.array(familiar.deviation), directions, np.array(familiar.variances)
        return cls(*arrays, familiar.rest, familiar.limit)

    @classmethod
    def of(cls, table: Table) -> Self:
        """Of features (N, F), without a limit."""
        count, features = table.shape
        deviation = table.std(0)
        deviation = np.maximum(deviation, max(LEAST_DEVIATION * float(np.median(deviation)), SMALLEST))
        z = (table - table.mean(0)) / deviation
        _, singular, directions = np.linalg.svd(z, full_matrices=False)
        variances = singular**2 / count
        ball = variances.sum() / features
        share = _shrinkage(z, variances, ball)
        shrunk = (1 - share) * variances + share * ball
        kept = min(MOST_DIRECTIONS, count // ROWS_A_DIRECTION, len(shrunk))
        left = (1 - share) * variances[kept:].sum() / max(features - kept, 1) + share * ball
        variances = np.maximum(shrunk[:kept], SMALLEST)
        return cls(table.mean(0), deviation, directions[:kept], variances, max(float(left), SMALLEST))

    @property
    def familiar(self) -> Familiar:
        """For a bundle."""
        return Familiar(
            mean=_short(self.mean),
            deviation=_short(self.deviation),
            directions=tuple(_short(direction) for direction in self.directions),
            variances=_short(self.variances),
            rest=self.rest,
            limit=self.limit,
        )

    def distances(self, features: Features) -> Table:
        """Of features (N, F), in units of the limit: (N). Above 1 is unlike what was learned."""
        z = (np.asarray(features, np.float64) - self.mean) / self.deviation
        along = z @ self.directions.T
        beside = np.maximum((z**2).sum(1) - (along**2).sum(1), 0)
        squares = (along**2 / self.variances).sum(1) + beside / self.rest
        distances: Table = np.sqrt(squares / z.shape[1]) / self.limit
        return distances


def learned(features: Features, owners: ArrayLike) -> Usual | None:
    """What is usual among features (N, F) of learned pictures; None where too few tell, or there are no features.

    The limit is set on pictures that are held out: each of `FOLDS` parts is measured by what the others are like.

    Args:
        features: of each picture, or of each of its tiles; of each crop.
        owners: number of the picture that each row is of. A picture is as unlike as its most unlike row.
    """
    table, of = np.asarray(features, np.float64), np.asarray(owners)
    pictures = np.random.default_rng(0).permutation(np.unique(of))
    if len(pictures) < FEWEST or not table.shape[1]:
        return None
    held_out: list[float] = []
    for fold in np.array_split(pictures, min(FOLDS, len(pictures))):
        held = np.isin(of, fold)
        distances = Usual.of(table[~held]).distances(table[held])
        held_out += [float(distances[of[held] == picture].max()) for picture in fold]
    return replace(Usual.of(table), limit=float(f"{_limit(np.array(held_out)):.4g}"))


def _limit(distances: Table) -> float:
    """That as good as all others like these keep: a prediction limit (Student's t) of their logarithms.

    Their spread is that of the larger half: pictures alike would widen it downwards, and nothing is beyond there.
    """
    logs, count = np.log(np.maximum(distances, SMALLEST)), len(distances)
    middle = float(np.median(logs))
    above = logs[logs >= middle] - middle
    spread = np.sqrt((above**2).sum() / max(len(above) - 0.5, 1))  # as of the whole, less one
    return float(np.exp(min(middle + _students(count - 1) * np.sqrt(1 + 1 / count) * spread, MOST_LOG)))


def _students(freedom: int) -> float:
    """What Student's t exceeds with probability `BEYOND` (Abramowitz and Stegun 1964, 26.7.5; 0.5 % off at 7)."""
    z = NormalDist().inv_cdf(1 - BEYOND)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def _shrinkage(z: Table, variances: Table, ball: float) -> float:
    """Share of the ball that comes nearest to the true covariance (Ledoit and Wolf 2004, lemma 3.4)."""
    count, features = z.shape
    spread = (variances**2).sum() / features - ball**2
    error = ((z**2).sum(1) ** 2).sum() / count**2 / features - (variances**2).sum() / count / features
    return float(min(max(error / spread, LEAST_SHARE), 1)) if spread > 0 else 1.0


def _short(values: Table) -> tuple[float, ...]:
    """With as many digits as distances need."""
    return tuple(float(f"{value:.6g}") for value in values)
