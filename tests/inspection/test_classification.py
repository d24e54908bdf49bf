import numpy as np
import pytest

from casae.errors import BundleError
from casae.inspection.classification import BATCH, CROP_SIDE, FEW, classify, input_shapes
from casae.inspection.regions import Rectangle
from casae.models.runtime import Network
from conftest import brightness_classifier


@pytest.mark.parametrize("count", [0, 1, FEW, FEW + 1, BATCH, BATCH + 2, 3 * BATCH - 1])
def test_any_number_of_crops_needs_two_shapes_of_input(count):
    network, shapes = Network(brightness_classifier(), "brightness"), set()

    def classifier(values):
        shapes.add(len(values))
        return network(values)

    gray = np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[None], 60, 0)
    rectangles = [Rectangle((20.0 + i, 30.0), 10, 6, 0) for i in range(count)]
    rows = classify(classifier, gray, rectangles)
    assert shapes <= {1, BATCH}
    assert len(rows) == count
    assert np.all(np.diff(rows[:, 1]) > 0) if count else rows.shape == (0, 0)


def test_what_is_compiled_in_the_background_gives_the_same_and_fails_where_it_is_called():
    plain, prepared = (Network(brightness_classifier(), "brightness") for _ in range(2))
    prepared.prepare(*input_shapes(1), (1, 2, 3))
    crops = np.random.default_rng(0).random((1, 1, CROP_SIDE, CROP_SIDE), np.float32)
    assert np.array_equal(prepared(crops), plain(crops))
    with pytest.raises(BundleError, match="does not accept an input of"):
        prepared(np.zeros((1, 2, 3), np.float32))
