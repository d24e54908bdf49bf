"""What more looks at a picture bring."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from casae.config import InspectionSettings
from casae.datasets.registry import open_dataset
from casae.evaluation import looks as trying
from casae.evaluation.looks import Looking, most_within, try_looks
from casae.inspection.inspector import Inspector
from casae.inspection.record import record_of
from casae.models.bundle import read_bundle
from casae.training import judge
from casae.training.progress import Reporter
from casae.training.train import Trained

TRIED = [
    Looking(1, 0.0, 0.0, 20),
    Looking(2, 0.01, 0.01, 40),
    Looking(4, -0.01, 0.02, 80),
    Looking(8, -0.05, 0.02, 160),
]


@pytest.mark.parametrize(("cycle_ms", "looks"), [(10, 1), (20, 1), (50, 2), (100, 4), (1000, 4)])
def test_the_most_looks_that_fit_and_do_no_harm_are_taken(cycle_ms, looks):
    assert most_within(TRIED, cycle_ms) == looks
    assert most_within([], cycle_ms) == 1


def test_looks_that_find_the_same_bring_nothing(components, dark_model):
    calls = []
    tried = try_looks(dark_model, open_dataset(f"folder:{components}").split("train"), lambda: calls.append(1))
    assert [each.looks for each in tried] == [1, 2, 4, 8]
    assert all(abs(each.gain) < 1e-6 and each.milliseconds > 0 for each in tried)
    assert len(calls) == 4 * len(open_dataset(f"folder:{components}").splits["train"])


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
        (None, 100.0, True, 4, "4, the most that fit into 100 ms"),
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


def test_where_directions_matter_the_model_looks_once(dark_model, components, tmp_path, monkeypatch):
    file = Path(shutil.copy(dark_model, tmp_path / "dark.casae"))
    part = open_dataset(f"folder:{components}").split("train")
    harmful = [TRIED[0], Looking(2, -0.05, 0.01, 40)]
    monkeypatch.setattr(judge, "try_looks", lambda *_: harmful)
    _, said = judge._choose_looks(Trained(file, {}, part, tmp_path, 0.0, False), None, 100.0, Reporter())
    assert said == "1, the direction in which this part lies matters: turned looks make it worse"


def test_an_inspection_says_how_often_it_looked(dark_model):
    image = np.full((64, 64), 200, np.uint8)
    image[20:40, 20:40] = 20
    by_looks = [Inspector(dark_model, InspectionSettings(looks=looks)).inspect(image) for looks in (None, 2, 8)]
    assert [record_of(each).looks for each in by_looks] == [1, 2, 8]
    assert all(len(each.defects) == 1 for each in by_looks)
    assert len({each.novelty for each in by_looks}) == 1


def test_nothing_tells_of_one_picture():
    assert not Looking(2, -0.5, math.inf, 1.0).harms
