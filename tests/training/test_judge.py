import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import casae
from casae import Inspector
from casae.config import InspectionSettings
from casae.datasets.registry import open_dataset
from casae.errors import UsageError
from casae.evaluation.scores import evaluate
from casae.evaluation.thresholds import Cost, cost_curve
from casae.metrics import Counts
from casae.models.bundle import read_bundle
from casae.models.card import add_scores
from casae.recipes import settings_for
from casae.training import judge
from casae.training.judge import train_and_judge
from casae.training.plan import Note
from casae.training.progress import Reporter
from casae.training.train import Trained
from conftest import two_classes


@pytest.mark.parametrize(("asked", "learned"), [(None, "train"), ("all", "all")])
def test_without_a_split_only_the_list_train_is_learned_from(components, tmp_path, monkeypatch, asked, learned):
    given = {}

    def train(data, file, settings, **options):
        given.update(options)
        raise InterruptedError

    monkeypatch.setattr(judge, "train", train)
    with pytest.raises(InterruptedError):
        casae.train(f"folder:{components}", tmp_path / "part.casae", split=asked)
    assert given["split"] == learned


def test_the_chosen_thresholds_are_those_of_the_model(components, dark_model, tmp_path):
    file = Path(shutil.copy(dark_model, tmp_path / "dark.casae"))
    nothing = open_dataset(f"folder:{components}").only([], "held")
    trained = Trained(file, {}, nothing, tmp_path, 0.0, False)
    costs = [
        Cost(gs, core, Counts(hit, 1000 - hit, 1000 - hit, 0), regions=10, defective=10)
        for gs, core, hit in ((100.0, 25.0, 800), (100.0, 100.0, 800), (150.0, 25.0, 900), (150.0, 150.0, 900))
    ]
    add_scores(file, "as trained", {}, core_gs=25.0)
    judged = judge._judge(judge.JudgedModel(trained), settings_for(), [], "f1", [], costs, Reporter())
    manifest = read_bundle(file).manifest
    assert (manifest.gs, manifest.core_gs) == (judged.chosen.gs, judged.chosen.core_gs) == (150, 25)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"folds": 1}, "--folds 1: one part"),
        ({"target": "best"}, "say recall=0.99"),
        ({"folds": 3, "start": "mine/weights.pt"}, "these weights may have learned what a fold holds out"),
        ({"hold_out_share": 0.0}, "list 'val' of folder:"),
    ],
)
def test_options_that_do_not_go_together_are_said_before_anything_is_learned(components, tmp_path, options, rule):
    with pytest.raises(UsageError, match=rule):
        casae.train(f"folder:{components}", tmp_path / "part.casae", **options)
    assert list(tmp_path.iterdir()) == []


def test_unlabelled_pictures_that_lie_beside_the_labelled_ones_are_asked_for_once(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "dataset.toml").write_text('classes = ["dent"]')
    for index in range(5):
        cv2.imwrite(str(tmp_path / f"images/{index}.png"), np.full((9, 9), index, np.uint8))
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"masks/{index}.png"), np.eye(9, dtype=np.uint8))
    data = open_dataset(f"folder:{tmp_path}")
    asked = judge._without_label(data, "all", tmp_path / "images")
    assert sorted(sample.name for sample in asked) == ["3", "4"]


def test_folds_stand_on_page_and_card(components, dark_model, tmp_path):
    file = Path(shutil.copy(dark_model, tmp_path / "dark.casae"))
    data = open_dataset(f"folder:{two_classes(components, tmp_path / 'part')}")
    known = frozenset({data.split("val").samples[0].name})
    notes = (Note("warning", "Masks show more defect than background"), Note("info", "12 images"))
    trained = Trained(file, {}, data.split("val"), tmp_path, 0.0, False, notes, known)
    costs = cost_curve(Inspector(file), data.split("train"))
    fold = Path(shutil.copy(dark_model, tmp_path / "fold.casae"))
    parts = [data.split("train"), data.split("test")]
    models = [(fold, part) for part in parts]
    judged = judge._judge(judge.JudgedModel(trained), settings_for(), [], "recall=1.0", models, costs, Reporter())
    html, card = judged.page.read_text("utf-8"), read_bundle(file).card
    manifest = read_bundle(file).manifest
    chosen = InspectionSettings(gs=manifest.gs, core_gs=manifest.core_gs)
    assert (manifest.gs, manifest.core_gs) != (100, 25)
    each = [evaluate(Inspector(fold, chosen), part).scores()["false_regions_per_image"].value for part in parts]
    assert judged.folds["false_regions_per_image"].each == each
    assert "mean of 2 folds" in html
    assert f"{sum(each) / 2:.3f}" in html
    assert manifest.scores["mean of 2 folds"]["false_regions_per_image"] == pytest.approx(sum(each) / 2)
    assert "| spread of 2 folds | iou |" in card
    assert "| all folds, at Gs | escaped_regions |" in card
    assert "validation, at Gs" not in card
    assert "Masks show more defect than background" in html
    assert "12 images" not in html
    assert "of which its start weights had learned 1" in html
    assert "did not learn from" not in html.split("Thresholds")[0]
    assert f"count the {judged.chosen.images} pictures of all folds" in html
    assert "thresholds were chosen on them, so they are a little too good" in html


def test_a_score_that_one_fold_alone_tells_is_left_out(components, dark_model, telling_model, tmp_path):
    part = open_dataset(f"folder:{two_classes(components, tmp_path / 'part')}").split("train")
    for models in ((telling_model, dark_model), (dark_model, telling_model)):
        scores = judge._fold_scores([(file, part) for file in models], Cost(100.0, 25.0), 1)
        assert "iou" in scores
        assert "images_unlike_learned" not in scores


def test_a_target_without_held_out_images_is_refused_at_once(components, tmp_path):
    data = replace(open_dataset(f"folder:{components}"), splits={})
    settings = settings_for("scratch", hold_out_share=0.0)
    with pytest.raises(UsageError, match=r"--target good=0\.95: nothing is held out to choose thresholds by"):
        train_and_judge(data, tmp_path / "part.casae", settings, target="good=0.95")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_model_is_trained_and_judged_in_one_call(components, tmp_path):
    small = settings_for("scratch", width=4, size=64, epochs_1=1, epochs_2=1, views=16, classifier__iterations=4)
    data = replace(open_dataset(f"folder:{components}"), warnings=("class 1 is called 'background'",))
    judged = train_and_judge(data, tmp_path / "part.casae", small, folds=2, device="cpu")
    assert judged.page.exists()
    assert len(judged.folds["iou"].each) == 2
    assert "- class 1 is called 'background'" in read_bundle(judged.file).card
    judgement = casae.evaluate(f"folder:{components}", judged.file)
    content = judgement.to_dict()
    assert content["scores"]["precision"].keys() == {"value", "low", "high", "hits", "total"}
    assert content["conditions"]["precision"] in ("f32", "bf16")
    assert content["split"] == "test"
    assert "<table>" in judgement._repr_html_()
