import numpy as np
import pytest

from casae.image import to_unit
from casae.inspection.classification import BATCH, FEW, classify
from casae.inspection.regions import Rectangle
from casae.inspection.runtime import Network, cache_folder
from conftest import brightness_classifier, dark_segmenter


@pytest.fixture
def image():
    return to_unit(np.random.default_rng(0).integers(0, 256, (1, 1, 32, 32), np.uint8))


def test_what_was_compiled_is_kept_and_a_damaged_file_does_no_harm(monkeypatch, tmp_path, image):
    monkeypatch.setenv("CASAE_CACHE", str(tmp_path / "cache"))
    expected = Network(dark_segmenter(), "dark")(image)
    blobs = list((tmp_path / "cache").glob("*.blob"))
    assert blobs
    assert np.array_equal(Network(dark_segmenter(), "dark")(image), expected)
    for blob in blobs:
        blob.write_bytes(blob.read_bytes()[:200])
    assert np.array_equal(Network(dark_segmenter(), "dark")(image), expected)


def test_a_cache_that_cannot_be_made_is_done_without(monkeypatch, tmp_path, image):
    (tmp_path / "file").write_text("in the way")
    for value in ("", str(tmp_path / "file" / "cache")):
        monkeypatch.setenv("CASAE_CACHE", value)
        assert cache_folder() is None
        assert Network(dark_segmenter(), "dark")(image).shape == image.shape


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
