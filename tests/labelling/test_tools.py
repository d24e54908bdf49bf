"""Agreement of labels, tools, and the order of a queue on pictures drawn here."""

import json

import numpy as np
import pytest

from casae.errors import UsageError
from casae.labelled.order import farthest_first, uncertainty
from casae.labelling.agreement import agreement
from casae.labelling.looked import Look, Looked
from casae.labelling.tools import scissors, wand


def test_labels_that_are_alike_agree_wholly():
    label = np.zeros((20, 30), np.uint8)
    label[3:8, 4:9] = 2
    found = agreement([("a", label, label.copy())])
    assert (found.iou, found.same_class, found.pairs[0].iou) == (1.0, 1.0, 1.0)


def test_what_only_one_has_is_the_worst():
    first, second = np.zeros((20, 30), np.uint8), np.zeros((20, 30), np.uint8)
    first[2:4, 2:4] = 1
    second[10:14, 10:14] = 1
    first[10:14, 10:12] = 1
    found = agreement([("a", first, second)])
    assert [(pair.first, pair.second, pair.iou) for pair in found.pairs] == [(1, 0, 0.0), (1, 1, 0.5)]
    assert found.iou == pytest.approx(8 / 20)


def test_the_wand_takes_what_hangs_together():
    gray = np.full((40, 40), 100, np.uint8)
    gray[5:10, 5:10] = gray[20:25, 5:10] = 30
    left, top, found = wand(gray, 7, 7, 5)
    assert (left, top, found.shape, found.all()) == (5, 5, (5, 5), True)
    with pytest.raises(UsageError, match="is not in the picture"):
        wand(gray, 40, 0, 5)


def test_scissors_follow_an_edge():
    gray = np.full((120, 120), 200, np.uint8)
    rows, columns = np.mgrid[:120, :120]
    gray[(rows - 60) ** 2 + (columns - 60) ** 2 < 40**2] = 50
    way = scissors(gray, (60, 20), (100, 60))
    far = np.abs(np.hypot(way[:, 0] - 60, way[:, 1] - 60) - 40)
    assert far.max() < 3  # along the circle, not across it
    with pytest.raises(UsageError, match="px apart"):
        scissors(np.zeros((10, 3000), np.uint8), (0, 0), (2900, 5))


def test_uncertain_pictures_come_first_and_different_ones_spread():
    assert uncertainty(np.full((4, 4), 0.5, np.float32)) == pytest.approx(1.0)
    assert uncertainty(np.zeros((4, 4), np.float32)) == pytest.approx(0.0, abs=1e-4)
    features = np.array([[0, 0], [0, 1], [10, 0], [10, 1], [5, 9]], np.float32)
    assert set(farthest_first(features, np.array([1, 0, 0, 0, 0], bool))[:2]) == {3, 4}
    assert farthest_first(features, np.zeros(5, bool))[0] in (0, 1, 2, 3)


def test_a_line_cut_off_by_a_kill_is_looked_at_again(tmp_path):
    file = tmp_path / "looked.jsonl"
    file.write_text(json.dumps({"picture": "a", "uncertainty": 0.1, "features": [1.0]}) + '\n{"picture": "b", "unc')
    looked = Looked(file)
    assert looked.known == {"a": Look(0.1, (1.0,))}
    assert looked.order("uncertain", ["b", "a", "c"], {"a": False, "b": False, "c": True}) == ["a", "b"]
