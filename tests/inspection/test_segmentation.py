import numpy as np
import pytest

from casae.inspection.regions import find_regions
from casae.inspection.segmentation import defect_probability, threshold


def test_gs_is_compared_with_the_prediction_mask():
    """Equation (2): defect where 255 x P(background) <= Gs."""
    probability = np.array([[0.60, 0.61, 1.0, 0.0]], np.float32)
    assert threshold(probability, 100).tolist() == [[False, True, True, False]]


@pytest.mark.parametrize(("gs", "found"), [(0, 1), (127, 2), (255, 3)])
def test_a_larger_gs_finds_more(gs, found):
    assert threshold(np.array([1.0, 0.6, 0.0], np.float32), gs).sum() == found


def test_the_map_comes_back_at_the_size_of_the_image():
    image = np.zeros((30, 50, 3), np.uint16)
    image[:, 25:] = 65535
    seen = []

    def segmenter(values):
        seen.append(values)
        return values

    probability = defect_probability(segmenter, image, 32, 64, "letterbox")
    assert seen[0].shape == (1, 1, 32, 64)
    assert seen[0].dtype == np.float32
    assert probability.shape == (30, 50)
    assert probability[:, :20].max() < 0.01
    assert probability[:, 30:].min() > 0.99


def dark(values):
    return (values < 0.5).astype(np.float32)


@pytest.mark.parametrize("shape", [(64, 64), (40, 64), (1, 1), (30, 7)])
def test_an_image_no_larger_than_a_tile_is_one_tile(shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    calls = []

    def segmenter(values):
        calls.append(values.shape)
        return dark(values)

    probability = defect_probability(segmenter, image, 64, 64, "tile")
    assert calls == [(1, 1, 64, 64)]
    assert np.array_equal(probability, image < 127.5)


@pytest.mark.parametrize("shape", [(65, 64), (200, 333), (64, 1000)])
def test_tiles_cover_every_pixel_once(shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    probability = defect_probability(dark, image, 64, 64, "tile")
    np.testing.assert_allclose(probability, image < 127.5, atol=1e-6)


def test_a_defect_across_tiles_is_one_region():
    image = np.full((100, 300), 200, np.uint8)
    image[50:53, 10:290] = 10
    regions = find_regions(threshold(defect_probability(dark, image, 64, 64, "tile"), 100))
    assert [region.area for region in regions] == [3 * 280]


def test_tiles_that_disagree_blend_without_a_seam():
    seen = []

    def segmenter(values):
        seen.append(None)
        return np.full_like(values, len(seen) % 2)

    probability = defect_probability(segmenter, np.zeros((64, 400), np.uint8), 64, 64, "tile")
    assert len(seen) > 5
    assert probability[0].max() == 1
    assert probability[0].min() == 0
    assert np.abs(np.diff(probability[0])).max() < 0.1


def test_tiles_outside_the_region_of_interest_cost_nothing_and_change_nothing_inside():
    rng = np.random.default_rng(0)
    image, looked = rng.integers(0, 256, (96, 160), np.uint8), []

    def segmenter(values):
        looked.append(1)
        return values

    whole = defect_probability(segmenter, image, 32, 32, "tile")
    everywhere = len(looked)
    roi = np.zeros(image.shape, bool)
    roi[40:60, 100:150] = True
    part = defect_probability(segmenter, image, 32, 32, "tile", roi)
    assert len(looked) - everywhere < everywhere / 2
    assert np.array_equal(part, np.where(roi, whole, 0))
