"""Ppk, its interval and the test of normality against scipy and against chance."""

import numpy as np
import pytest
from scipy import stats

from casae.errors import UsageError
from casae.statistics.capability import capability, normality


def test_ppk_is_as_scipy_reckons_mean_and_deviation():
    values = np.random.default_rng(0).normal(4.0, 0.5, 200)
    found = capability(values, 6.0)
    assert found.shape == "normal"
    assert found.index == pytest.approx((6.0 - stats.tmean(values)) / (3 * stats.tstd(values)))


def test_the_interval_of_ppk_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    truth, held, counted = 1.2, 0, 0
    for _ in range(600):
        found = capability(rng.normal(0, 1, 60), 3 * truth)
        if found.shape == "normal":
            counted += 1
            held += found.low <= truth <= found.high
    assert held / counted == pytest.approx(0.95, abs=0.03)


def test_normal_values_are_refused_as_often_as_they_should_be_and_others_nearly_always():
    rng = np.random.default_rng(2)
    refused = np.mean([normality(rng.normal(size=50)) < 0.05 for _ in range(1500)])
    assert refused == pytest.approx(0.05, abs=0.018)
    assert np.mean([normality(rng.exponential(size=50)) < 0.05 for _ in range(100)]) > 0.95


@pytest.mark.parametrize(
    ("square", "level"), [(0.561, 0.15), (0.631, 0.10), (0.752, 0.05), (0.873, 0.025), (1.035, 0.01)]
)
def test_p_values_are_those_of_stephens_table(square, level):
    """A sample whose statistic, as scipy reckons it, is the critical value has that level (Stephens 1974)."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=100) ** 3  # far from normal; mixed with normal ones until the statistic fits
    normal = rng.normal(size=100)
    low, high = 0.0, 1.0
    for _ in range(60):
        share = (low + high) / 2
        mixed = (1 - share) * normal + share * values
        statistic = stats.anderson(mixed, "norm", method="interpolate").statistic
        low, high = (share, high) if statistic * (1 + 0.75 / 100 + 2.25 / 100**2) < square else (low, share)
    assert normality(mixed) == pytest.approx(level, rel=0.1)


@pytest.mark.parametrize("count", [20, 100, 5000])
def test_what_is_lognormal_goes_by_its_logarithms(count):
    """The median of many small samples is near the truth; by their percentiles it would be twice as good."""
    rng = np.random.default_rng(4)
    found = [capability(rng.lognormal(0, 0.5, count), 5.0) for _ in range(100)]
    logs = [each.index for each in found if each.shape == "lognormal"]
    assert len(logs) > (5 if count == 20 else 80)
    assert np.median(logs) == pytest.approx(np.log(5) / 1.5, rel=0.05)
    one = next(each for each in found if each.shape == "lognormal")
    assert one.low < one.index < one.high


def test_what_has_neither_distribution_goes_by_percentiles_where_values_are_many():
    rng = np.random.default_rng(4)
    values = np.concatenate([rng.normal(2, 0.1, 2000), rng.normal(6, 0.5, 2000)])
    found = capability(values, 8.0)
    assert found.shape == "neither"
    middle, top = np.percentile(values, [50, 99.865])
    assert found.index == pytest.approx((8.0 - middle) / (top - middle))
    assert found.beyond == pytest.approx(np.mean(values > 8.0))
    assert found.low is None
    few = capability(values[::20], 8.0)
    assert (few.shape, few.index, few.low) == ("neither", None, None)  # 200 say nothing of a tail


@pytest.mark.parametrize("count", [0, 19])
def test_too_few_values_are_refused(count):
    with pytest.raises(UsageError, match="say too little"):
        capability(np.ones(count), 1.0)


def test_values_that_never_change_have_no_index():
    assert capability(np.ones(30), 2.0).index is None
