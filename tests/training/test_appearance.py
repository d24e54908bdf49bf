"""Learning classes from the segmenter's features."""

from types import SimpleNamespace

import numpy as np
import pytest

from casae.inspection.appearance import appearances, evidence
from casae.labelled.defects import labelled_crops
from casae.labelled.images import LabelledImage
from casae.models.bundle import InputSize
from casae.training.appearance import ENOUGH, learn_appearance

SIZE = InputSize(height=64, width=64, fit="letterbox")


def look(values):
    """Four features, of which mean and deviation tell something."""
    noise = np.random.default_rng(len(values)).normal(0, 1, (len(values), 2))
    return values[:, :1], np.column_stack([values.mean((1, 2, 3)), values.std((1, 2, 3)), noise]).astype(np.float32)


INSPECTOR = SimpleNamespace(manifest=SimpleNamespace(input=SIZE), segmenter=SimpleNamespace(with_features=look))


def crops_of(count, seed, levels=(40, 120, 220)):
    """Squares of three classes that differ in their gray alone."""
    rng = np.random.default_rng(seed)
    images = []
    for index in range(count):
        value = index % len(levels)
        pixels = rng.normal(160, 10, (80, 80)).clip(0, 255).astype(np.uint8)
        label = np.zeros((80, 80), np.uint8)
        label[20:60, 20:60] = value + 1
        pixels[20:60, 20:60] = rng.normal(levels[value], 8, (40, 40)).clip(0, 255)
        images.append(LabelledImage(str(index), pixels, label))
    return labelled_crops(images, len(levels), 12)


def test_five_examples_of_a_class_tell_it():
    known = learn_appearance(INSPECTOR, crops_of(15, 0), 3)
    others = crops_of(30, 1)
    rows = np.concatenate([appearances(look, crop.pixels, [crop.region], SIZE) for crop in others])
    named = evidence(known, rows).argmax(1)
    assert (named == [crop.defect_class for crop in others]).mean() > 0.9


def test_where_nothing_tells_nothing_is_said():
    known = learn_appearance(INSPECTOR, crops_of(30, 0, levels=(90, 90, 90)), 3)
    rows = np.concatenate([appearances(look, crop.pixels, [crop.region], SIZE) for crop in crops_of(30, 1, (90,) * 3)])
    told = evidence(known, rows)
    assert np.ptp(told, axis=1).max() < 1.5


@pytest.mark.parametrize("crops", [[], crops_of(4, 0, levels=(90,)), crops_of(2 * ENOUGH, 0, levels=(40, 200))])
def test_it_is_not_asked_where_it_cannot_help(crops):
    assert learn_appearance(INSPECTOR, crops, 3) is None


def test_classes_of_one_picture_each_are_not_told():
    known = learn_appearance(INSPECTOR, crops_of(3, 0), 3)
    rows = np.concatenate([appearances(look, crop.pixels, [crop.region], SIZE) for crop in crops_of(30, 1)])
    assert np.ptp(evidence(known, rows), axis=1).max() < 1


def test_a_segmenter_without_features_tells_nothing():
    silent = SimpleNamespace(with_features=lambda values: (values, np.zeros((len(values), 0), np.float32)))
    inspector = SimpleNamespace(manifest=SimpleNamespace(input=SIZE), segmenter=silent)
    assert learn_appearance(inspector, crops_of(15, 0), 3) is None
