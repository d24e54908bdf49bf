import numpy as np
import pytest

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
