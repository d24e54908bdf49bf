from dataclasses import replace

import pytest

from casae.evaluation.uses import Needs, escapes_and_rejects, uses_of
from casae.metrics import Interval, proportion

GOOD = {
    "iou": Interval(0.8),
    "region_recall": replace(proportion(95, 100), hits=95, total=100),
    "false_regions_per_image": Interval(0.2),
    "accuracy_found_regions": replace(proportion(97, 100), hits=97, total=100),
}


def grades(scores=None, escaped=(0, 100), rejected=(3, 100), classes=2, needs=None):
    uses = uses_of(GOOD | (scores or {}), proportion(*escaped), proportion(*rejected), classes, needs)
    return [use.grade for use in uses]


def test_the_sentence_has_counts_and_the_upper_ends_of_exact_intervals():
    said = escapes_and_rejects(0, 41, 0, 0)
    assert said == "0 of 41 bad parts escaped (at most 8.7 %), no good part to judge by"


def test_a_good_model_is_good_for_everything():
    assert grades() == ["yes"] * 4
    assert grades(classes=1) == ["yes"] * 3


@pytest.mark.parametrize(
    ("escaped", "rejected", "grade"),
    [
        ((0, 100), (3, 100), "yes"),
        ((0, 100), (5, 100), "not shown"),  # up to 11 %
        ((0, 12), (1, 12), "not shown"),  # nothing escaped, of too few
        ((20, 100), (5, 100), "no"),  # surely more than a twentieth
        ((0, 100), (40, 100), "no"),
        ((0, 100), (0, 1), "not shown"),  # of so few good parts
        ((0, 100), (2, 8), "not shown"),
        ((0, 100), (0, 8), "not shown"),  # up to 37 % of the good ones may be rejected
        ((0, 100), (0, 36), "yes"),
        ((0, 100), (0, 0), "not shown"),  # nothing tells how many good parts are rejected
    ],
)
def test_sorting_alone_needs_the_end_of_the_interval(escaped, rejected, grade):
    assert grades(escaped=escaped, rejected=rejected)[0] == grade


def test_how_many_bad_parts_would_show_it():
    use = uses_of(GOOD, proportion(0, 12), proportion(1, 12), 2)[0]
    assert use.why.endswith("; it takes 72 bad parts of which none escapes")
    assert grades(escaped=(0, 72))[0] == "yes"
    assert grades(escaped=(0, 71))[0] == "not shown"
    short = uses_of(GOOD, proportion(0, 100), proportion(0, 12), 2)[0]
    assert short.why.endswith("; it takes 36 good parts of which none is rejected")


def test_each_use_has_a_need_of_its_own():
    assert grades({"iou": Interval(None)}) == ["yes", "yes", "not shown", "yes"]
    assert grades({"iou": Interval(0.6)}) == ["yes", "yes", "no", "yes"]
    assert grades({"false_regions_per_image": Interval(1.5)}) == ["yes", "no", "yes", "yes"]
    assert grades({"accuracy_found_regions": proportion(80, 100)}) == ["yes", "yes", "yes", "no"]
    assert grades({"accuracy_found_regions": proportion(7, 8)}) == ["yes", "yes", "yes", "not shown"]  # up to 99.7 %
    assert grades({"iou": Interval(0.7, 0.6, 0.8)}) == ["yes", "yes", "not shown", "yes"]
    assert grades({"region_recall": proportion(8, 10)}) == ["yes", "not shown", "yes", "yes"]
    assert grades({"region_recall": proportion(5, 5)}) == ["yes", "not shown", "not shown", "yes"]
    assert grades(needs=Needs(overlap=0.9)) == ["yes", "yes", "no", "yes"]
