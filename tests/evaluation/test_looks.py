"""What more looks at a picture bring."""

import math
import shutil
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import casae
from casae.config import InspectionSettings
from casae.datasets.registry import open_dataset
from casae.errors import UsageError
from casae.evaluation import looks as trying
from casae.evaluation.looks import Looking, most_within, try_looks
from casae.inspection.inspector import Inspector
from casae.inspection.record import record_of
from casae.metrics import Counts, iou_gain
from casae.models.bundle import read_bundle
from casae.recipes import settings_for
from casae.training import judge
from casae.training.progress import Reporter
from casae.training.train import Trained
from conftest import two_classes

TRIED = [
    Looking(1, 0.0, 0.0, 20, 0.5),
    Looking(2, 0.01, 0.01, 40, 0.4),
    Looking(4, -0.01, 0.02, 80, 0.3),
    Looking(8, -0.05, 0.02, 160, 0.3),
]


@pytest.mark.parametrize(("cycle_ms", "looks"), [(10, 1), (20, 1), (50, 2), (100, 4), (1000, 4)])
def test_the_most_looks_that_fit_and_do_no_harm_are_taken(cycle_ms, looks):
    assert most_within(TRIED, cycle_ms) == looks
    assert most_within([], cycle_ms) == 1


def test_looks_that_find_the_same_bring_nothing(components, dark_model):
    tried = try_looks(dark_model, open_dataset(f"folder:{components}").split("train"))
    assert [each.looks for each in tried] == [1, 2, 4, 8]
    assert all(abs(each.gain) < 1e-6 and each.milliseconds > 0 for each in tried)
    assert len({each.false_regions for each in tried}) == 1


def test_false_findings_are_those_that_touch_no_label(tmp_path, dark_model):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "dataset.toml").write_text('classes = ["stain", "glare"]')
    image, mask = np.full((64, 64), 200, np.uint8), np.zeros((64, 64), np.uint8)
    for left in (4, 24, 44):
        image[20:32, left : left + 12] = 20
    mask[20:24, 4:8] = 1
    cv2.imwrite(str(tmp_path / "images" / "part.png"), image)
    cv2.imwrite(str(tmp_path / "masks" / "part.png"), mask)
    tried = try_looks(dark_model, open_dataset(f"folder:{tmp_path}"))
    assert [each.false_regions for each in tried] == [2, 2, 2, 2]
    assert str(tried[0]).startswith("1: +0.0 points, 2.00 false findings a picture, ")


@pytest.mark.parametrize("count", [1, 2])
def test_what_is_compiled_first_takes_no_time(components, dark_model, monkeypatch, count):
    """Of few images the first inspection, which waits for the networks, must not count."""
    inspect = Inspector.inspect
    waited = set()

    def waiting(self, *arguments):
        if id(self) not in waited:
            waited.add(id(self))
            kept.append(self)
            time.sleep(0.3)
        return inspect(self, *arguments)

    kept = []
    monkeypatch.setattr(Inspector, "inspect", waiting)
    part = open_dataset(f"folder:{components}").split("train")
    tried = try_looks(dark_model, part.only(part.splits["train"][:count], "few"))
    assert len(tried) == 4
    assert max(each.milliseconds for each in tried) < 250


def test_of_slow_inspections_few_are_made(components, dark_model, monkeypatch):
    monkeypatch.setattr(trying, "_warm_up", lambda *_: trying.LONGEST)
    counted = []
    inspected = trying._inspected
    monkeypatch.setattr(trying, "_inspected", lambda i, s, c: counted.append(len(s)) or inspected(i, s, c))
    try_looks(dark_model, open_dataset(f"folder:{components}").split("train"))
    assert counted[0] == trying.FEWEST


@pytest.mark.parametrize(
    ("looks", "cycle_ms", "rule"),
    [(3, None, "--looks 3: must be 1, 2, 4, 8"), (2, 50.0, "leave one out"), (None, 0.0, "--cycle-ms 0: must be")],
)
def test_what_cannot_be_meant_is_said_before_anything_is_learned(components, tmp_path, looks, cycle_ms, rule):
    with pytest.raises(UsageError, match=rule):
        casae.train(f"folder:{components}", tmp_path / "part.casae", looks=looks, cycle_ms=cycle_ms)
    assert list(tmp_path.iterdir()) == []


def test_no_more_looks_are_tried_once_it_takes_long(components, dark_model, monkeypatch):
    monkeypatch.setattr(trying, "LONGEST", 0.0)
    tried = try_looks(dark_model, open_dataset(f"folder:{components}").split("train"))
    assert [each.looks for each in tried] in ([], [1])


@pytest.mark.parametrize(
    ("looks", "cycle_ms", "held", "chosen", "why"),
    [
        (None, None, True, 1, "1, --looks or --cycle-ms asks for more"),
        (4, None, True, 4, "4, as asked"),
        (4, None, False, 4, "4, as asked"),
        (None, 100.0, True, 4, "4, the most of those tried that fit into 100 ms and do no harm"),
        (None, 10.0, True, 1, "1, even one takes 20 ms of the 10 ms; see casae benchmark"),
        (None, 100.0, False, 1, "1, nothing is held out to measure more on"),
    ],
)
def test_the_model_keeps_how_often_it_looks(
    components, dark_model, tmp_path, monkeypatch, looks, cycle_ms, held, chosen, why
):
    file = Path(shutil.copy(dark_model, tmp_path / "dark.casae"))
    part = open_dataset(f"folder:{components}").split("train")
    trained = Trained(file, {}, part if held else part.only([], "held"), tmp_path, 0.0, False)
    monkeypatch.setattr(judge, "try_looks", lambda *_: TRIED)
    tried, said = judge._choose_looks(trained, looks, cycle_ms, Reporter())
    assert (read_bundle(file).manifest.looks, said) == (chosen, why)
    assert bool(tried) == held
    assert (f"| looks at each picture | {chosen} |" in read_bundle(file).card) == (held or chosen != 1)


def test_where_too_few_tell_the_model_looks_once(dark_model, components, tmp_path, monkeypatch):
    file = Path(shutil.copy(dark_model, tmp_path / "dark.casae"))
    part = open_dataset(f"folder:{components}").split("train")
    unsure = [TRIED[0], Looking(2, -0.55, math.inf, 40, 0.5)]
    monkeypatch.setattr(judge, "try_looks", lambda *_: unsure)
    _, said = judge._choose_looks(Trained(file, {}, part, tmp_path, 0.0, False), None, 100.0, Reporter())
    assert said == "1, too few defective pictures are held out to tell whether more do harm"


def test_where_directions_matter_the_model_looks_once(dark_model, components, tmp_path, monkeypatch):
    file = Path(shutil.copy(dark_model, tmp_path / "dark.casae"))
    part = open_dataset(f"folder:{components}").split("train")
    harmful = [TRIED[0], Looking(2, -0.05, 0.01, 40, 0.5)]
    monkeypatch.setattr(judge, "try_looks", lambda *_: harmful)
    _, said = judge._choose_looks(Trained(file, {}, part, tmp_path, 0.0, False), None, 100.0, Reporter())
    assert said == "1, the direction in which this part lies matters: turned looks make it worse"


def test_an_inspection_says_how_often_it_looked(dark_model):
    image = np.full((64, 64), 200, np.uint8)
    image[20:40, 20:40] = 20
    by_looks = [Inspector(dark_model, InspectionSettings(looks=looks)).inspect(image) for looks in (None, 2, 8)]
    assert [record_of(each).looks for each in by_looks] == [1, 2, 8]
    assert all(len(each.defects) == 1 for each in by_looks)


def test_novelty_is_that_of_the_first_look(telling_model):
    image = np.full((64, 64), 150, np.uint8)
    image[20:40, 20:40] = 20
    found = [Inspector(telling_model, InspectionSettings(looks=looks)).inspect(image).novelty for looks in (1, 2, 8)]
    assert found[0] is not None
    assert len(set(found)) == 1


def test_nothing_tells_of_a_single_defective_picture():
    clean, whole, half = Counts(0, 0, 0, 9), Counts(9, 0, 0, 0), Counts(4, 0, 5, 0)
    gain, error = iou_gain([whole, *[clean] * 10], [half, *[clean] * 10])
    assert gain == pytest.approx(-5 / 9)
    assert error == math.inf
    assert not Looking(2, gain, error, 1.0, 0.0).harms
    assert not Looking(2, None, error, 1.0, 0.0).harms
    assert str(Looking(2, None, error, 1.0, 0.25)) == "2: 0.25 false findings a picture, 1 ms"


def test_half_of_the_tried_pictures_show_a_defect_where_there_are_enough(components):
    part = open_dataset(f"folder:{components}").split("all")
    bad = [sample for sample in part.samples if sample.label.present(4)]
    good = [sample for sample in part.samples if sample not in bad]
    assert len(bad) > len(good) >= 2
    for samples, count, expected in (
        ((*good, *bad), 4, 2),
        ((*good, bad[0]), 2, 1),
        (bad, 3, 3),
        (part.samples, 99, 9),
    ):
        drawn = trying._drawn(samples, count, 4)
        assert len(drawn) == len(set(drawn)) == min(count, len(samples))
        assert sum(sample in bad for sample in drawn) == (len(bad) if count == 99 else expected)


def test_folds_are_judged_with_as_many_looks_as_the_model_takes(components, dark_model, tmp_path, monkeypatch):
    data = open_dataset(f"folder:{two_classes(components, tmp_path / 'data')}")
    data = replace(data, splits={"train": data.splits["train"]})
    part, seen = data.split("train"), []
    curve = judge.cost_curve

    def learn(jobs, *_):
        return [Trained(Path(shutil.copy(dark_model, file)), {}, part, tmp_path, 0.0, False) for file, _ in jobs]

    monkeypatch.setattr(judge, "_in_turn", learn)
    monkeypatch.setattr(judge, "cost_curve", lambda i, *rest: seen.append(i.conditions.looks) or curve(i, *rest))
    monkeypatch.setattr(judge, "_judge", lambda begun, *_: begun)
    judge.train_and_judge(data, tmp_path / "part.casae", settings_for("fast"), folds=2, looks=4)
    assert seen == [4, 4]
