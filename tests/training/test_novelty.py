import cv2
import numpy as np
import pytest

from casae import Inspector
from casae.datasets.registry import open_dataset
from casae.errors import BundleError, DatasetError
from casae.models.bundle import read_bundle
from casae.synthetic.components import write_components
from casae.training.novelty import FEWEST, MOST_INPUTS, _some, relearn


@pytest.fixture
def gray_pictures(tmp_path):
    """Pictures darker than the telling model knows, none of them labelled."""
    folder = tmp_path / "gray"
    (folder / "images").mkdir(parents=True)
    (folder / "dataset.toml").write_text('classes = ["stain"]')
    rng = np.random.default_rng(0)
    for number in range(20):
        picture = rng.normal(rng.uniform(100, 120), 5, (64, 64)).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
    return folder


def test_pictures_that_are_named_usual_pass_from_then_on(telling_model, gray_pictures, tmp_path):
    data = open_dataset(f"folder:{gray_pictures}")
    found = relearn(telling_model, data, tmp_path / "new.casae")
    assert (found.pictures, found.unlike, found.failures) == (20, 20, {})
    image = data.samples[0].image
    assert Inspector(telling_model).inspect(image).verdict.kind == "novelty"
    inspector = Inspector(tmp_path / "new.casae")
    assert inspector.inspect(image).verdict.decision == "OK"
    assert inspector.inspect(np.full((64, 64), 195, np.uint8)).verdict.kind == "novelty"
    before, after = read_bundle(telling_model), read_bundle(tmp_path / "new.casae")
    assert (after.segmenter, after.novelty.crop) == (before.segmenter, before.novelty.crop)


def test_what_cannot_tell_is_refused(dark_model, telling_model, gray_pictures, tmp_path):
    data = open_dataset(f"folder:{gray_pictures}")
    with pytest.raises(BundleError, match="makes no features to tell pictures by; train it anew"):
        relearn(dark_model, data, tmp_path / "new.casae")
    few = data.only({"1", "2"}, "few")
    with pytest.raises(DatasetError, match="2 pictures of 'few' can be read, 8 tell at least what is usual"):
        relearn(telling_model, few, tmp_path / "new.casae")
    assert not (tmp_path / "new.casae").exists()


def test_pictures_of_many_tiles_are_all_counted():
    rows = np.arange(6000, dtype=np.float32).reshape(3000, 2)
    some = _some(rows)
    assert len(some) * FEWEST <= MOST_INPUTS < 2 * len(some) * FEWEST
    assert (some[0, 0], some[-1, 0]) == (0, 5998)
    assert np.array_equal(_some(rows[:3]), rows[:3])


@pytest.mark.slow
def test_a_training_learns_what_is_usual(tmp_path):
    from casae.recipes import settings_for
    from casae.training.train import train

    list(write_components(tmp_path / "parts", 24, seed=3, height=192, width=256))
    small = settings_for("scratch", width=4, size=64, epochs_1=1, epochs_2=1)
    classifier = small.classifier.model_copy(update={"width": 6, "iterations": 6, "batch": 4})
    small = small.model_copy(update={"classifier": classifier})
    trained = train(open_dataset(f"folder:{tmp_path / 'parts'}"), tmp_path / "part.casae", small)
    novelty = read_bundle(trained.file).novelty
    assert len(novelty.picture.mean) == 4 + 8 + 16 + 32  # features of all levels but the deepest
    assert novelty.crop is not None
    inspector = Inspector(trained.file)
    list(write_components(tmp_path / "others", 6, seed=4, height=192, width=256))
    others = [inspector.inspect(file).novelty for file in sorted((tmp_path / "others" / "images").iterdir())]
    stripes = np.tile(np.repeat([40, 220], 4).astype(np.uint8), (192, 32))
    assert max(others) < 1 < inspector.inspect(stripes).novelty
