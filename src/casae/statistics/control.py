"""Control charts of counts, with limits from a frozen baseline, and Nelson's rules.

Montgomery, Introduction to Statistical Quality Control, 8th edition, chapter 7: the p-chart for the share of rejected
parts and the u-chart for defects a part, both with limits that follow the number of parts of each point. Nelson 1984,
The Shewhart Control Chart - Tests for Special Causes, Journal of Quality Technology 16(4).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from casae.errors import UsageError

SIGMAS = 3.0
BEYOND = 0.00135  # of a normal distribution, above three sigma
FEWEST_EXPECTED = 5.0  # counts of a point; of fewer the distribution is far from normal
RULE_OF_THREE = 3.0  # with none found in n, 3 / n is the upper end of the one-sided 95 % interval
Kind = Literal["p", "u"]
RULES = {  # number of Nelson's rule -> what it says
    1: "beyond three sigma",
    2: "nine in a row on one side",
    3: "six in a row rising or falling",
    4: "fourteen in a row up and down in turn",
    5: "two of three beyond two sigma on one side",
    6: "four of five beyond one sigma on one side",
    7: "fifteen in a row within one sigma",
    8: "eight in a row beyond one sigma on either side",
}

Table = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Chart:
    """A control chart; all arrays have a value for each point (N,).

    Attributes:
        kind: "p" for shares, "u" for counts a part.
        centre: of the baseline.
        values: of the points; not a number where nothing was inspected.
        low, high: limits at three sigma; where fewer than five are expected, exact ones that chance passes as rarely.
            A baseline without any says no more than that fewer than 3 / parts are usual: limits go by that.
        z: values in sigmas from the centre; not a number where too few are expected for rules of runs.
        broken: for each point the numbers of Nelson's rules that end there.
    """

    kind: Kind
    centre: float
    values: Table
    low: Table
    high: Table
    z: Table
    broken: tuple[tuple[int, ...], ...]


def chart(
    kind: Kind,
    counts: ArrayLike,
    parts: ArrayLike,
    baseline: Sequence[bool] | NDArray[np.bool_],
    skipped: int = 0,
) -> Chart:
    """A chart of points that each have their own number of parts.

    Args:
        kind: "p": each count is of rejected parts; "u": of defects.
        counts: (N).
        parts: inspected, (N); points with none are left out of everything.
        baseline: which points tell what is usual, (N).
        skipped: first points that are no neighbours of the others, such as a baseline of long ago.

    Raises:
        UsageError: the baseline has no parts, or more rejected parts than parts.

    >>> chart("p", [12, 15, 8], [50, 50, 50], [True, True, True]).high.round(4).tolist()
    [0.4128, 0.4128, 0.4128]
    """
    found, of = np.asarray(counts, np.float64), np.asarray(parts, np.float64)
    usual = np.asarray(baseline, bool) & (of > 0)
    if not usual.any():
        raise UsageError("baseline: holds no inspected part; choose weeks in which parts were inspected")
    if kind == "p" and (found > of).any():
        raise UsageError("p-chart: more parts were rejected than inspected; use the u-chart for defects")
    centre = float(found[usual].sum() / of[usual].sum())
    rate = _rate(kind, found[usual].sum(), of[usual].sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(of > 0, found / of, np.nan)
        spread = rate * (1 - rate) if kind == "p" else rate
        sigma = np.where(of > 0, np.sqrt(spread / of), np.nan)
        z = np.where(sigma > 0, (values - centre) / sigma, np.nan)
    low = np.maximum(rate - SIGMAS * sigma, 0)
    high = np.minimum(rate + SIGMAS * sigma, 1.0 if kind == "p" else np.inf)
    rarer = min(rate, 1 - rate) if kind == "p" else rate
    rare = (of > 0) & (rarer * of < FEWEST_EXPECTED)
    for index in np.flatnonzero(rare):
        most = _exact_limit(kind, rarer, of[index]) / of[index]
        # Where nearly all are rejected, those that are not are counted.
        low[index], high[index] = (0.0, most) if rarer == rate else (1 - most, 1.0)
    z[rare] = np.nan  # no normal distribution: which side of the centre a point lies on says nothing
    beyond = (values > high) | (values < low)
    with_runs = [()] * skipped + list(nelson(z[skipped:]))
    broken = tuple(
        ((1,) if out else ()) + tuple(rule for rule in rules if rule != 1)
        for out, rules in zip(beyond.tolist(), with_runs, strict=True)
    )
    return Chart(kind, centre, values, low, high, z, broken)


def _rate(kind: Kind, found: float, of: float) -> float:
    """That limits go by: none or all of a baseline does not mean that it is always so."""
    if found == 0:
        return min(RULE_OF_THREE / of, 0.5 if kind == "p" else math.inf)
    if kind == "p" and found == of:
        return 1 - min(RULE_OF_THREE / of, 0.5)
    return float(found / of)


def _exact_limit(kind: Kind, rate: float, parts: float) -> float:
    """The largest count that chance exceeds no more often than three sigma: of the binomial or Poisson distribution.

    Args:
        kind: of the chart.
        rate: such that fewer than `FEWEST_EXPECTED` are expected of `parts`.
        parts: of the point.
    """
    count, below = 0, 0.0
    term = (1 - rate) ** parts if kind == "p" else math.exp(-rate * parts)
    while True:
        below += term
        if below >= 1 - BEYOND or count >= parts * (1 if kind == "p" else math.inf):
            return float(count)
        rising = (parts - count) * rate / (1 - rate) if kind == "p" else rate * parts
        count += 1
        term *= rising / count


def nelson(z: ArrayLike) -> tuple[tuple[int, ...], ...]:
    """For each point the numbers of Nelson's rules that it completes; see `RULES`.

    Args:
        z: values in sigmas from the centre, (N). Those that are not a number are as if they were not there.

    >>> nelson([0.1, 3.2, -0.5])
    ((), (1,), ())
    """
    given = np.asarray(z, np.float64)
    broken: list[tuple[int, ...]] = [() for _ in given]
    there = np.flatnonzero(~np.isnan(given))
    known = given[there]
    for index in range(len(known)):
        broken[there[index]] = tuple(rule for rule in RULES if _breaks(rule, known[: index + 1]))
    return tuple(broken)


def _breaks(rule: int, z: Table) -> bool:
    """Whether the last of these points completes a rule."""
    if rule == 1:
        return bool(abs(z[-1]) > 3)
    length = {2: 9, 3: 6, 4: 14, 5: 3, 6: 5, 7: 15, 8: 8}[rule]
    if len(z) < length:
        return False
    last = z[-length:]
    with np.errstate(invalid="ignore"):  # two infinite neighbours
        steps = np.diff(last)
    if rule == 2:
        return bool((last > 0).all() or (last < 0).all())
    if rule == 3:
        return bool((steps > 0).all() or (steps < 0).all())
    if rule == 4:
        return bool((steps[1:] * steps[:-1] < 0).all())
    if rule == 5:
        return any(side * last[-1] > 2 and (side * last > 2).sum() >= 2 for side in (1, -1))
    if rule == 6:
        return any(side * last[-1] > 1 and (side * last > 1).sum() >= 4 for side in (1, -1))
    if rule == 7:
        return bool((abs(last) < 1).all())
    return bool((abs(last) > 1).all())
