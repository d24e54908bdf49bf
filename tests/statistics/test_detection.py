"""The sizes that are found, against simulated defects whose probability of detection is known."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from casae.errors import UsageError
from casae.statistics.detection import detection_probability


def drawn(seed, count=120, a50=40.0, slope=2.5):
    rng = np.random.default_rng(seed)
    sizes = rng.lognormal(np.log(60), 0.9, count)
    return sizes, rng.random(count) < 1 / (1 + np.exp(-slope * np.log(sizes / a50)))


def test_with_many_defects_it_is_the_line_of_greatest_likelihood():
    sizes, found = drawn(0, 20_000)
    told = detection_probability(sizes, found)
    line = LogisticRegression(C=np.inf).fit(np.log(sizes)[:, None], found)
    a50, a90 = (np.exp((logit - line.intercept_[0]) / line.coef_[0, 0]) for logit in (0, np.log(9)))
    assert (told.a50, told.a90) == (pytest.approx(a50, rel=0.01), pytest.approx(a90, rel=0.01))
    assert told.a90 < told.a90_95 < 1.1 * told.a90


@pytest.mark.parametrize("count", [120, 2000])
def test_what_is_sure_is_so_in_19_of_20_sets(count):
    truth = 40 * np.exp(np.log(9) / 2.5)
    told = [detection_probability(*drawn(seed, count)) for seed in range(400)]
    assert np.median([each.a90 for each in told if each.a90]) == pytest.approx(truth, rel=0.05)
    shown = [each.a90_95 for each in told if each.a90_95 is not None]
    assert len(shown) > 350
    held = np.mean(np.array(shown) >= truth)
    assert held == pytest.approx(0.95, abs=0.025) or (count == 120 and held > 0.95)  # few make it more careful


def test_it_has_an_answer_where_sizes_part_hits_and_misses():
    sizes = np.arange(1.0, 101)
    told = detection_probability(sizes, sizes > 50)
    assert told.a50 == pytest.approx(50.5, rel=0.03)
    assert told.a50 < told.a90 < 60
    assert told.a90 < told.a90_95 < 80


def test_what_defects_do_not_tell_is_not_told():
    sizes = np.linspace(5, 100, 60)
    everything = detection_probability(sizes[:29], np.ones(29, bool))
    assert (everything.a90, everything.least_90) == (
        None,
        pytest.approx(0.902, abs=0.001),
    )  # the 29 of 29 of inspectors
    for found in (sizes < 40, np.arange(60) > 3, np.zeros(60, bool)):  # upside down; too few of a kind
        told = detection_probability(sizes, found)
        assert (told.a50, told.a90, told.a90_95, told.least_90) == (None,) * 4
    assert detection_probability([], []).count == 0
    rare = detection_probability(sizes, np.arange(60) % 5 == 0)
    assert rare.a90_95 is None  # nothing is sure within these sizes


@pytest.mark.parametrize(("sizes", "found"), [([1, 0], [True, False]), ([1], [True, False])])
def test_what_has_no_size_is_refused(sizes, found):
    with pytest.raises(UsageError, match="a size above 0 for each defect"):
        detection_probability(sizes, found)
