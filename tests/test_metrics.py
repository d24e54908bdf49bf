import numpy as np
import pytest

from casae.metrics import Counts, average_precision, bootstrap


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
