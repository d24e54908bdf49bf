import numpy as np
import pytest
from scipy.stats import chi2

from casae.metrics import Counts, average_precision, bootstrap, proportion, rate


def test_counts_and_what_follows_from_them():
    predicted = np.array([[1, 1, 0, 0]], bool)
    truth = np.array([[1, 0, 1, 0]], bool)
    counts = Counts.of(predicted, truth)
    assert counts == Counts(1, 1, 1, 1)
    assert (counts.iou, counts.precision, counts.recall, counts.f1) == (1 / 3, 0.5, 0.5, 0.5)
    assert counts + counts == Counts(2, 2, 2, 2)


def test_nothing_to_find_and_nothing_found_is_perfect():
    nothing = np.zeros((2, 2), bool)
    assert Counts.of(nothing, nothing).iou == 1


def test_masks_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 2\) and \(2, 3\)"):
        Counts.of(np.zeros((2, 2), bool), np.zeros((2, 3), bool))


def test_bootstrap_brackets_the_mean_and_repeats_with_its_seed():
    rows = np.random.default_rng(0).normal(5, 1, (400, 1))
    interval = bootstrap(rows, lambda r: float(r.mean()), seed=1)
    assert interval.value == pytest.approx(rows.mean())
    assert interval.low < rows.mean() < interval.high
    assert interval.high - interval.low == pytest.approx(4 * rows.std() / 20, rel=0.15)
    assert interval == bootstrap(rows, lambda r: float(r.mean()), seed=1)


def test_a_mean_of_counts_that_are_all_alike_has_the_interval_of_poisson():
    for count in (0, 1, 2):
        found = bootstrap([[count]] * 10, lambda rows: float(rows.mean()), is_share=False)
        low, high = chi2.ppf(0.025, 20 * count) / 20 if count else 0.0, chi2.ppf(0.975, 20 * count + 2) / 20
        assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high))
    assert rate(0, 0).value is None


def test_a_share_that_is_one_but_for_rounding_has_an_exact_interval():
    """One good picture of nine, surely told: draws differ in the sixteenth digit alone."""
    rows = [(0.9 - n / 100, 1) for n in range(12)] + [(0.1, 0)]
    found = bootstrap(rows, lambda r: average_precision(r[:, 0], r[:, 1]))
    assert found.value == pytest.approx(1)
    assert found.low == pytest.approx(proportion(13, 13).low)


def test_bootstrap_of_one_image_has_a_value_and_no_interval():
    interval = bootstrap([[0.5]], lambda rows: float(rows.mean()))
    assert (interval.value, interval.low, interval.high, interval.spread) == (0.5, None, None, "")


def test_bootstrap_of_nothing_is_nothing():
    assert bootstrap(np.zeros((0, 1)), lambda r: 1.0).value is None
    assert bootstrap(np.zeros((3, 1)), lambda r: None).value is None


def test_average_precision_by_hand():
    assert average_precision([3, 2, 1], [1, 1, 0]) == 1
    assert average_precision([1, 2, 3], [1, 0, 0]) == pytest.approx(1 / 3)
    assert average_precision([1, 1, 1, 1], [1, 0, 0, 0]) == 0.25  # without any order it is the share of defects
    assert average_precision([1, 2], [1, 1]) is None
    assert average_precision([1, 2], [0, 0]) is None
