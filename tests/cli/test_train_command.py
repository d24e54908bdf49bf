import shutil
from pathlib import Path

import pytest
from rich.console import Console

from casae import Inspector
from casae.cli import train as command
from casae.config import InspectionSettings
from casae.datasets.registry import open_dataset
from casae.errors import UsageError
from casae.evaluation.scores import evaluate
from casae.evaluation.thresholds import Cost, cost_curve
from casae.metrics import Counts
from casae.models.bundle import read_bundle
from casae.models.card import add_scores
from casae.training.train import Trained
from conftest import two_classes

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning and its dependencies deprecate freely


@pytest.mark.parametrize(("asked", "learned"), [(None, "train"), ("all", "all")])
def test_without_a_split_only_the_list_train_is_learned_from(components, tmp_path, monkeypatch, asked, learned):
    given = {}

    def train(data, file, settings, **options):
        given.update(options)
        raise InterruptedError

    monkeypatch.setattr("casae.training.train.train", train)
    with pytest.raises(InterruptedError):
        command.train(f"folder:{components}", tmp_path / "part.casae", asked)
    assert given["split"] == learned


def test_the_chosen_thresholds_are_those_of_the_model(components, dark_model, tmp_path):
    file = shutil.copy(dark_model, tmp_path / "dark.casae")
    nothing = open_dataset(f"folder:{components}").only([], "held")
    trained = Trained(file, {}, nothing, tmp_path, 0.0, False)
    costs = [
        Cost(gs, core, Counts(hit, 1000 - hit, 1000 - hit, 0), regions=10, defective=10)
        for gs, core, hit in ((100.0, 25.0, 800), (100.0, 100.0, 800), (150.0, 25.0, 900), (150.0, 150.0, 900))
    ]
    add_scores(file, "as trained", {}, core_gs=25.0)
    command._judge(Console(quiet=True), trained, [], "f1", command.Folds(costs=costs))
    manifest = read_bundle(file).manifest
    assert (manifest.gs, manifest.core_gs) == (150, 25)


def test_a_share_beside_a_list_val_is_refused(components, tmp_path):
    with pytest.raises(UsageError, match="--hold-out 0: list 'val' of folder:"):
        command.train(f"folder:{components}", tmp_path / "part.casae", hold_out=0.0)


def test_folds_stand_on_page_and_card(components, dark_model, tmp_path):
    file = shutil.copy(dark_model, tmp_path / "dark.casae")
    data = open_dataset(f"folder:{two_classes(components, tmp_path / 'part')}")
    trained = Trained(file, {}, data.split("val"), tmp_path, 0.0, False)
    costs = cost_curve(Inspector(file), data.split("train"))
    fold = Path(shutil.copy(dark_model, tmp_path / "fold.casae"))
    parts = [data.split("train"), data.split("test")]
    command._judge(
        Console(quiet=True), trained, [], "recall=1.0", command.Folds([(fold, part) for part in parts], costs)
    )
    html, card = file.with_suffix(".html").read_text("utf-8"), read_bundle(file).card
    manifest = read_bundle(file).manifest
    chosen = InspectionSettings(gs=manifest.gs, core_gs=manifest.core_gs)
    assert (manifest.gs, manifest.core_gs) != (100, 25)
    each = [evaluate(Inspector(fold, chosen), part).scores()["false_regions_per_image"].value for part in parts]
    assert "mean of 2 folds" in html
    assert f"{sum(each) / 2:.3f}" in html
    assert manifest.scores["mean of 2 folds"]["false_regions_per_image"] == pytest.approx(sum(each) / 2)
    assert "| spread of 2 folds | iou |" in card
    assert "| all folds, at Gs | escaped_regions |" in card
    assert "validation, at Gs" not in card
