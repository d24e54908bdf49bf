"""What the segmenter's features of a defect and what is around it tell of its class."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from casae.errors import BundleError
from casae.inspection.appearance import BATCH, SIDE, appearances, evidence, windows
from casae.inspection.inspector import Inspector
from casae.inspection.regions import find_regions
from casae.models.bundle import Appearance, InputSize, read_bundle, write_bundle
from conftest import telling

WHOLE = InputSize(height=64, width=64, fit="letterbox")


def regions_of(shape, *boxes):
    mask = np.zeros(shape, bool)
    for top, left, height, width in boxes:
        mask[top : top + height, left : left + width] = True
    return find_regions(mask)


def means(values):
    return values[:, :1], values.mean((2, 3))


def test_a_window_shows_a_defect_in_its_middle_and_what_is_around():
    image = np.full((200, 200), 200, np.uint8)
    image[60:140, 80:120] = 20
    (window,) = windows(image, regions_of(image.shape, (60, 80, 80, 40)), WHOLE)
    assert window.shape == (1, SIDE, SIDE)
    dark = window[0] < 0.5
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    assert abs(len(rows) - 80 / (1.3 * 80) * SIDE) <= 2
    assert abs(len(columns) - 40 / (1.3 * 80) * SIDE) <= 2
    assert abs(rows.mean() - SIDE / 2) < 1.5
    assert abs(columns.mean() - SIDE / 2) < 1.5


def test_a_small_defect_keeps_its_surroundings_and_the_edge_is_mirrored():
    image = np.full((100, 100), 200, np.uint8)
    image[0:4, 0:4] = 20
    (window,) = windows(image, regions_of(image.shape, (0, 0, 4, 4)), WHOLE)
    dark = (window[0] < 0.4).mean()
    assert 0.03 < dark < 0.08  # of 32 x 32 px about 7 x 7, with its mirror image
    tiny = np.full((3, 5), 90, np.uint8)
    assert windows(tiny, regions_of(tiny.shape, (1, 1, 1, 2)), WHOLE).shape == (1, 1, SIDE, SIDE)


def test_tiles_and_colour_are_seen_as_in_training():
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    regions = regions_of(image.shape[:2], (20, 20, 30, 30))
    size = InputSize(height=64, width=64, fit="tile", standardised=True, channels=3)
    (window,) = windows(image, regions, size)
    assert window.shape == (3, SIDE, SIDE)
    assert window.min() < -0.5
    (centred,) = windows(image, regions, WHOLE.model_copy(update={"centred": True}))
    assert abs(centred.mean()) < 1e-6


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9, 20])
def test_every_region_has_its_features_in_its_place(count):
    image = np.full((40, 60 * max(count, 1)), 255, np.uint8)
    boxes = [(5, 60 * index + 10, 20, 1 + index) for index in range(count)]
    for top, left, height, width in boxes:
        image[top : top + height, left : left + width] = 0
    shapes = set()

    def look(values):
        shapes.add(values.shape[0])
        return means(values)

    regions = regions_of(image.shape, *boxes)
    rows = appearances(look, image, regions, WHOLE)
    assert len(rows) == count
    assert shapes <= {1, BATCH}
    if count > 1:  # regions come by size: the larger, the darker
        assert (np.diff(rows[:, 0]) > 0).all()


def test_evidence_is_a_logistic_regression_within_bounds():
    known = Appearance(mean=(1.0, 0.0), deviation=(0.5, 1.0), weights=((1.0, 0.0), (0.0, 2.0)), bias=(0.1, -0.1))
    told = evidence(known, np.array([[1.5, 0.0], [1.0, 100.0]], np.float32))
    np.testing.assert_allclose(told, [[1.1, -0.1], [0.1, 5.9]])  # three deviations at most


@pytest.mark.parametrize("changes", [{"deviation": (1.0,)}, {"weights": ((1.0,), (1.0, 2.0))}, {"bias": (0.0,)}])
def test_what_does_not_fit_each_other_is_refused(changes):
    values = {"mean": (0.0, 0.0), "deviation": (1.0, 1.0), "weights": ((0.0, 0.0), (0.0, 0.0)), "bias": (0.0, 0.0)}
    with pytest.raises(ValidationError):
        Appearance.model_validate(values | changes)


def test_a_model_names_by_it_too(dark_model, tmp_path):
    from conftest import dark_segmenter

    bundle = read_bundle(dark_model)
    known = Appearance(mean=(0.5, 0.5), deviation=(1.0, 1.0), weights=((0.0, 0.0), (0.0, 0.0)), bias=(0.0, 9.0))
    told = replace(bundle, segmenter=telling(dark_segmenter), appearance=known)
    write_bundle(told, tmp_path / "told.casae")
    image = np.full((64, 64), 200, np.uint8)
    image[20:40, 20:40] = 20
    before = Inspector(dark_model).inspect(image).defects[0]
    after = Inspector(tmp_path / "told.casae").inspect(image).defects[0]
    assert (before.name, after.name) == ("stain", "glare")
    write_bundle(
        replace(told, appearance=known.model_copy(update={"weights": ((0.0, 0.0),), "bias": (0.0,)})),
        tmp_path / "b.casae",
    )
    with pytest.raises(BundleError, match="tells 1 classes"):
        read_bundle(tmp_path / "b.casae")
