"""Limits against Montgomery's examples and scipy, rules of Nelson against series made for each."""

import numpy as np
import pytest
from scipy import stats

from casae.errors import UsageError
from casae.metrics import proportion
from casae.statistics.control import RULES, chart, nelson

CANS = (12, 15, 8, 10, 4, 7, 16, 9, 14, 10, 5, 6, 17, 12, 22, 8, 10, 5, 13, 11, 20, 18, 24, 15, 9, 12, 7, 13, 9, 6)


def test_the_p_chart_of_montgomerys_orange_juice_cans():
    """Table 7.1: thirty samples of fifty cans; the book's centre 0.2313, limits 0.0524 and 0.4102."""
    found = chart("p", CANS, [50] * 30, [True] * 30)
    assert found.centre == pytest.approx(0.2313, abs=5e-5)
    assert found.low[0] == pytest.approx(0.0524, abs=5e-5)
    assert found.high[0] == pytest.approx(0.4102, abs=5e-5)
    assert [index for index, rules in enumerate(found.broken) if 1 in rules] == [14, 22]  # samples 15 and 23


def test_limits_follow_the_number_of_parts_as_scipy_reckons_them():
    rng = np.random.default_rng(0)
    parts = rng.integers(80, 400, 40)
    counts = rng.binomial(parts, 0.08)
    baseline = np.arange(40) < 25
    found = chart("p", counts, parts, baseline)
    share = counts[:25].sum() / parts[:25].sum()
    for index in range(40):
        law = stats.binom(parts[index], share)
        assert found.z[index] == pytest.approx((counts[index] - law.mean()) / law.std())
        assert found.high[index] == pytest.approx(min(1, (law.mean() + 3 * law.std()) / parts[index]))
    defects = rng.poisson(parts * 0.4)
    per_part = chart("u", defects, parts, baseline)
    rate = defects[:25].sum() / parts[:25].sum()
    for index in range(40):
        law = stats.poisson(parts[index] * rate)
        assert per_part.z[index] == pytest.approx((defects[index] - law.mean()) / law.std())
        assert per_part.low[index] == pytest.approx(max(0, (law.mean() - 3 * law.std()) / parts[index]))


@pytest.mark.parametrize(("kind", "law"), [("p", stats.binom), ("u", lambda n, mean: stats.poisson(n * mean))])
def test_where_few_are_expected_limits_are_exact(kind, law):
    parts = np.array([1000, 10, 40, 150, 300])
    found = chart(kind, [10, 0, 1, 2, 3], parts, [True, False, False, False, False])
    for index in range(1, 5):
        assert found.high[index] * parts[index] == pytest.approx(law(parts[index], 0.01).ppf(1 - 0.00135))
        assert np.isnan(found.z[index])


def test_rare_rejects_raise_no_false_alarms():
    """Half a percent of a hundred parts a point: by three sigma and runs, every fourth point would be a signal."""
    rng = np.random.default_rng(5)
    counts = np.append(5 * 20, rng.binomial(100, 0.005, 4000))
    found = chart("p", counts, np.append(20_000, np.full(4000, 100)), np.arange(4001) < 1, skipped=1)
    assert sum(map(bool, found.broken[1:])) / 4000 < 0.004
    assert chart("p", [0] * 30, [50] * 30, [True] * 30).broken == ((),) * 30


def test_points_without_parts_are_left_out():
    found = chart("p", [1, 0, 2], [10, 0, 10], [True, True, True])
    assert np.isnan(found.values[1])
    assert found.broken[1] == ()
    assert found.centre == pytest.approx(3 / 20)


def test_of_a_baseline_without_rejects_the_limits_go_by_three_in_as_many_parts():
    found = chart("p", [0, 0, 4, 5], [500, 500, 100, 100], [True, True, False, False])
    assert found.centre == 0
    assert found.high[2] == pytest.approx(stats.binom(100, 3 / 1000).ppf(1 - 0.00135) / 100)
    assert [bool(rules) for rules in found.broken] == [False, False, True, True]
    assert chart("p", [0, 0, 1], [10, 10, 10], [True, True, False]).broken == ((), (), ())  # 20 parts say little
    assert chart("u", [0, 9], [1000, 100], [True, False]).broken == ((), (1,))


@pytest.mark.parametrize("parts", [40, 400, 4000])
def test_where_nearly_all_are_rejected_the_others_are_counted(parts):
    """As it is without rules; a fall is a signal, and no limit lies beyond all parts."""
    usual = parts - round(0.005 * parts)
    found = chart("p", [9950, usual, parts // 2], [10_000, parts, parts], [True, False, False])
    law = stats.binom(parts, 0.005)
    if parts * 0.005 < 5:
        assert found.low[1] == pytest.approx(1 - law.ppf(1 - 0.00135) / parts)
    assert found.high.max() <= 1
    assert found.broken[1:] == ((), (1,))
    all_of_them = chart("p", [100, 40, 20], [100, 40, 40], [True, False, False])
    assert all_of_them.broken == ((), (), (1,))


@pytest.mark.parametrize(("kind", "counts", "parts"), [("p", [3], [2]), ("u", [1], [0])])
def test_what_cannot_be_charted_is_refused(kind, counts, parts):
    with pytest.raises(UsageError, match=r"baseline|more parts"):
        chart(kind, counts, parts, [True])


SERIES = {
    1: [0.0, 3.1],
    2: [0.1, 0.5, 0.2, 0.4, 0.3, 0.6, 0.2, 0.5, 0.3],
    3: [-1.4, -0.9, -0.3, 0.2, 0.7, 1.3],
    4: [0.5, -0.5] * 7,
    5: [2.2, 0.1, 2.3],
    6: [1.2, 1.4, 0.2, 1.1, 1.3],
    7: [0.5, -0.4, 0.3, -0.6, 0.2, 0.4, -0.3, -0.5, 0.6, 0.1, -0.2, 0.3, -0.4, 0.5, -0.1],
    8: [1.2, -1.3, 1.4, 1.1, -1.5, -1.2, 1.3, 1.6],
}


@pytest.mark.parametrize("rule", RULES)
def test_each_of_nelsons_rules_breaks_at_its_last_point_and_not_before(rule):
    found = nelson(SERIES[rule])
    assert rule in found[-1]
    assert all(rule not in rules for rules in found[:-1])


def test_chance_alone_breaks_the_rules_as_often_as_it_should():
    rng = np.random.default_rng(1)
    found = nelson(rng.normal(size=20_000))
    often = sum(1 in rules for rules in found) / len(found)
    assert often == pytest.approx(2 * stats.norm.sf(3), abs=0.001)


@pytest.mark.parametrize(("hits", "total"), [(0, 41), (3, 41), (41, 41), (7, 1200)])
def test_intervals_of_shares_are_those_of_scipy(hits, total):
    found, exact = proportion(hits, total), stats.binomtest(hits, total).proportion_ci(method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)
