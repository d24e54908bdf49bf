from dataclasses import replace

import cv2
import numpy as np
import pytest

from casae import Inspector
from casae.datasets.registry import open_dataset
from casae.decoding import read_image
from casae.errors import DatasetError
from casae.evaluation.review import judges_of, review, write_sheet
from casae.image import to_gray
from casae.inspection.grain import Fingerprints
from casae.models.bundle import read_bundle, write_bundle


@pytest.fixture
def data(tmp_path):
    """Dark bars: one labelled as it is, one not labelled, one under another name, and one that is not there."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for name, wide, value in (("right", 20, 2), ("unlabelled", 25, 0), ("named", 30, 1), ("absent", 0, 2)):
        noise = np.random.default_rng(len(name)).normal(200, 4, (48, 64))
        image, label = noise.astype(np.uint8), np.zeros((48, 64), np.uint8)
        image[10:16, 10 : 10 + wide] = 20
        label[10:16, 10 : 10 + (wide or 15)] = value
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), image)
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), label)
    (tmp_path / "dataset.toml").write_text('classes = ["stain", "glare"]')
    return open_dataset(f"folder:{tmp_path}")


def test_pictures_come_in_the_order_of_doubt(dark_model, data, tmp_path):
    (tmp_path / "images" / "broken.png").write_text("")
    cv2.imwrite(str(tmp_path / "masks" / "broken.png"), np.zeros((4, 4), np.uint8))
    judges = judges_of(dark_model)
    doubtful, failures = review(open_dataset(data.name), judges)
    kinds = {each.name: (each.doubts[0].kind, each.doubts[0].labelled, each.doubts[0].found) for each in doubtful}
    assert kinds == {
        "named": ("other class", "stain", "glare"),
        "unlabelled": ("not labelled", "", "glare"),
        "absent": ("not found", "glare", ""),
    }
    weights = [each.doubts[0].weight for each in doubtful]
    assert weights == sorted(weights, reverse=True)
    assert list(failures) == ["broken"]
    write_sheet(tmp_path / "doubts.jpg", data, doubtful, judges)
    assert cv2.imread(str(tmp_path / "doubts.jpg")).shape[1] == 4 * 328 + 8


def test_a_model_that_has_not_learned_from_a_picture_judges_it(dark_model, data):
    strict = Inspector(dark_model)
    seen = (to_gray(read_image(sample.image)) for sample in data.samples if sample.name != "absent")
    strict.learned = Fingerprints.of(seen)
    doubtful, _ = review(data, [strict])
    assert {each.name: each.by_heart for each in doubtful} == {"named": True, "unlabelled": True, "absent": False}
    doubtful, _ = review(data, [strict, Inspector(dark_model)])
    assert not any(each.by_heart for each in doubtful)


def test_models_of_folds_are_found_beside_the_model(dark_model, tmp_path):
    bundle = read_bundle(dark_model)
    for count, name in enumerate(("part", "part-fold-1", "part-fold-2")):
        write_bundle(replace(bundle, learned=bytes(128 * count)), tmp_path / f"{name}.casae")
    assert [len(judge.learned) for judge in judges_of(tmp_path / "part.casae")] == [1, 2, 0]


def test_a_model_of_other_classes_is_refused(dark_model, data, tmp_path):
    (tmp_path / "dataset.toml").write_text('classes = ["stain", "rust"]')
    with pytest.raises(DatasetError, match="review with a model of its own classes"):
        review(open_dataset(data.name), judges_of(dark_model))
