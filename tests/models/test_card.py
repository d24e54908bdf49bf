import shutil

import pytest

from casae.errors import UsageError
from casae.models.bundle import read_bundle
from casae.models.card import add_scores, check_own, write_card
from conftest import dark_manifest


def test_scores_are_added_to_card_and_manifest(dark_model, tmp_path):
    file = shutil.copy(dark_model, tmp_path / "dark.casae")
    add_scores(file, "test of parts", {"iou": 0.81234, "accuracy_true_crops": None})
    bundle = read_bundle(file)
    assert bundle.manifest.scores["test of parts"]["iou"] == 0.81234
    assert bundle.manifest.scores["validation"]["iou"] == 1
    assert "| test of parts | iou | 0.8123 |" in bundle.card
    assert "| test of parts | accuracy_true_crops | - |" in bundle.card
    assert bundle.segmenter == read_bundle(dark_model).segmenter


def test_a_threshold_is_set_with_what_it_costs(dark_model, tmp_path):
    file = shutil.copy(dark_model, tmp_path / "dark.casae")
    add_scores(file, "validation, at Gs", {"escaped_regions": 0.02, "rejected_good_images": None}, gs=130, core_gs=25)
    bundle = read_bundle(file)
    assert (bundle.manifest.gs, bundle.manifest.core_gs) == (130, 25)
    assert "| threshold Gs | 130; in every defect a pixel passes 25 |" in bundle.card
    assert "| validation, at Gs | escaped_regions | 0.02 |" in bundle.card


def test_the_card_tells_what_its_scores_are_worth():
    held = dark_manifest(dataset={**dark_manifest().dataset.model_dump(), "validation_images": 3})
    assert "Validation images, or those of all folds, may choose the thresholds" in write_card(held)
    nothing = dark_manifest(dataset={**dark_manifest().dataset.model_dump(), "validation_images": 0})
    assert "No image was held out" in write_card(nothing)


def test_a_file_that_does_not_exist_yet_is_ones_own(tmp_path):
    check_own(tmp_path / "new.casae", "quantise")
    with pytest.raises(UsageError, match="component is part of casae"):
        check_own("component", "quantise")
