"""What the shipped strip-steel model is worth on the test images of SD-saliency-900 (docs/models/strip-steel.md)."""

import pytest

from casae import Inspector
from casae.datasets.registry import open_dataset
from casae.decoding import read_image
from casae.evaluation.scores import evaluate
from casae.files import find_images


@pytest.fixture(scope="module")
def scores(real_data):
    dataset = open_dataset(f"sd-saliency-900:{real_data / 'SD-saliency-900'}").split("test")
    return evaluate(Inspector("strip-steel"), dataset).scores()


def test_the_shipped_model_finds_strip_steel_defects(scores):
    assert scores["iou"].value >= 0.79
    assert scores["accuracy_true_crops"].value >= 0.95
    assert scores["region_recall"].value >= 0.85


@pytest.mark.parametrize("folder", ["NanoTWICE", "DAGM2007/Class1/Test", "pool/welds/images"])
def test_every_public_image_can_be_read(real_data, folder):
    files = list(find_images(real_data / folder))[::10]
    assert len(files) > 4
    assert all(read_image(file).ndim in (2, 3) for file in files)
